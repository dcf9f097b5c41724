//! Checks the version of the Redis server.

/// The server's name and version from the response to `INFO server`, or an error if it is too old.
/// A server that hides its version is accepted.
pub(super) fn version(info: &str) -> Result<String, String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    // Valkey reports its compatible Redis version as `redis_version`.
    let Some(compatible) = field("redis_version") else { return Ok("a server that hides its version".into()) };
    let mut numbers = compatible.split('.').map_while(|part| part.parse::<u32>().ok());
    if let (Some(major), Some(minor)) = (numbers.next(), numbers.next())
        && (major, minor) < (6, 2)
    {
        return Err(format!("Redis {compatible} is too old: Kastrel needs Redis 6.2 or Valkey 7.2"));
    }
    Ok(field("valkey_version").map_or_else(|| format!("Redis {compatible}"), |version| format!("Valkey {version}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_versions_are_parsed_and_checked() {
        for (info, expected) in [
            ("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n", Ok("Redis 7.0.15")),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n", Ok("Valkey 8.0.1")),
            ("redis_version:6.2.0\r\n", Ok("Redis 6.2.0")),
            ("redis_version:6.0.16\r\n", Err("Redis 6.0.16 is too old: Kastrel needs Redis 6.2 or Valkey 7.2")),
            ("redis_version:unstable\r\n", Ok("Redis unstable")),
            ("", Ok("a server that hides its version")),
        ] {
            assert_eq!(version(info).as_deref().map_err(String::as_str), expected.map_err(|text: &str| text));
        }
    }
}
