//! The issue registry: every kind of finding of this scanner, with its severity and remediation.
//!
//! A finding holds a reference into this table, so an id that is not in the registry does not
//! compile.

use serde::{Deserialize, Serialize, Serializer};

/// The severity of an issue, by KAST's five names. The order is from worst to mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Data or control is already lost, or can be lost by one request.
    Critical,
    /// An attacker gains something of value with little effort.
    High,
    /// A weakness that needs a second weakness, or a victim's help.
    Medium,
    /// A missing layer of defence.
    Low,
    /// A relevant fact that is not a weakness by itself.
    Informational,
}

impl Severity {
    /// All severities, worst first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Informational];

    /// Returns the name that files and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "Critical",
            Self::High => "High",
            Self::Medium => "Medium",
            Self::Low => "Low",
            Self::Informational => "Informational",
        }
    }
}

/// One entry of the registry. The texts mark code by backticks. The report shows them as code, and
/// JSON omits them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// The stable id that `issues[]` of a processed file names.
    pub id: &'static str,
    /// The title for users.
    #[serde(rename = "display_name")]
    pub title: &'static str,
    /// The meaning of the issue.
    #[serde(serialize_with = "without_marks")]
    pub description: &'static str,
    /// The remediation.
    #[serde(serialize_with = "without_marks")]
    pub remediation: &'static str,
    /// The severity.
    pub severity: Severity,
    /// The category.
    pub category: &'static str,
}

fn without_marks<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text.replace('`', ""))
}

/// Finds an issue by its id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Issue> {
    ALL.iter().copied().find(|issue| issue.id == id)
}

/// Declares the issues as constants and lists all of them in `ALL`, so the list is complete.
macro_rules! issues {
    ($($category:literal { $($name:ident = $id:literal, $severity:ident, $title:literal, $description:literal, $remediation:literal;)+ })+) => {
        $($(
            #[doc = $title]
            pub static $name: Issue = Issue {
                id: $id,
                title: $title,
                description: $description,
                remediation: $remediation,
                severity: Severity::$severity,
                category: $category,
            };
        )+)+
        /// Every issue that this scanner can report.
        pub static ALL: &[&Issue] = &[$($(&$name,)+)+];
    };
}

issues! {
    "Transport security" {
        PLAIN_HTTP = "plain_http", High, "Served without encryption",
            "The page is delivered over plain HTTP. Anyone on the path can read and change it, including passwords and session cookies.",
            "Serve the site over HTTPS and redirect every plain HTTP request to it.";
        HTTP_NOT_REDIRECTED = "http_not_redirected", Medium, "Plain HTTP is not redirected to HTTPS",
            "The site speaks HTTPS, but its plain HTTP port also answers with content instead of a redirect to HTTPS.",
            "Answer every request on port 80 with a permanent redirect to the HTTPS address.";
        HSTS_MISSING = "hsts_missing", Medium, "No Strict-Transport-Security header",
            "Without HSTS (RFC 6797) a browser may use plain HTTP for the first request, which an attacker on the path can keep from being upgraded.",
            "Send `Strict-Transport-Security: max-age=31536000; includeSubDomains` on every HTTPS response.";
        HSTS_WEAK = "hsts_weak", Low, "Weak Strict-Transport-Security policy",
            "The HSTS policy is present but lasts less than 180 days or cannot be read, so browsers forget it early or ignore it.",
            "Raise `max-age` to at least 15552000 seconds; 31536000 is usual.";
        TLS_CERT_EXPIRED = "tls_certificate_expired", High, "Certificate has expired",
            "The certificate's validity has ended. Browsers refuse the site, and users learn to click through warnings.",
            "Renew the certificate and automate the renewal.";
        TLS_CERT_NOT_YET_VALID = "tls_certificate_not_yet_valid", High, "Certificate is not valid yet",
            "The certificate's validity starts in the future. Browsers refuse the site until then.",
            "Install a certificate that is valid now, and check the clock of the machine that issued it.";
        TLS_CERT_EXPIRES_SOON = "tls_certificate_expires_soon", Low, "Certificate expires soon",
            "The certificate ends within the warning period. When it is not renewed in time, browsers refuse the site.",
            "Renew the certificate now and check that the automatic renewal works.";
        TLS_NAME_MISMATCH = "tls_name_mismatch", High, "Certificate is for another name",
            "None of the certificate's subject alternative names covers the host that was scanned (RFC 9525), so browsers refuse the connection.",
            "Issue a certificate that lists this host name.";
        TLS_SELF_SIGNED = "tls_self_signed", High, "Certificate is self-signed",
            "The certificate is signed by its own key. A visitor cannot tell it from one made by an attacker.",
            "Use a certificate of an authority that your visitors trust.";
        TLS_CHAIN_UNTRUSTED = "tls_chain_untrusted", High, "Certificate chain is not trusted",
            "No path leads from the server's certificate to a trusted authority. Often an intermediate certificate is missing.",
            "Install the full chain as your certificate authority delivers it, leaf first.";
        TLS_WEAK_KEY = "tls_weak_key", Medium, "Certificate key is too short",
            "The public key of the certificate is an RSA key below 2048 bits or an elliptic key below 224 bits.",
            "Issue a certificate for an RSA key of at least 2048 bits or a P-256 key.";
        TLS_WEAK_SIGNATURE = "tls_weak_signature", Medium, "Certificate is signed with a broken hash",
            "The certificate's signature uses MD5 or SHA-1, for which collisions can be made.",
            "Have the certificate issued again with a SHA-256 signature.";
        TLS_LEGACY_PROTOCOL = "tls_legacy_protocol", Medium, "Obsolete TLS version offered",
            "The server accepts SSL 3.0 (withdrawn by RFC 7568), TLS 1.0 or TLS 1.1 (withdrawn by RFC 8996).",
            "Allow only TLS 1.2 and 1.3.";
        TLS_NO_MODERN = "tls_no_modern_protocol", High, "Neither TLS 1.2 nor TLS 1.3 is offered",
            "The server agrees only to obsolete protocol versions, which current browsers refuse.",
            "Update the TLS library and offer TLS 1.2 and 1.3.";
        TLS_OLD_SUITES = "tls_obsolete_cipher_suites_only", Medium, "TLS 1.2 with obsolete cipher suites only",
            "With TLS 1.2 the server agrees only to cipher suites that lack forward secrecy or authenticated encryption.",
            "Offer ECDHE suites with AES-GCM or ChaCha20-Poly1305.";
        TLS_BROKEN_SUITES = "tls_broken_cipher_suites", Medium, "Broken cipher suites accepted",
            "The server accepts cipher suites without encryption or certificate, with export keys, or with DES, 3DES, RC2, RC4 or MD5.",
            "Remove these suites. `HIGH:!aNULL:!eNULL:!3DES` leaves them out in OpenSSL's notation.";
        TLS_DHE_ONLY = "tls_dhe_only", Low, "Forward secrecy with finite-field Diffie-Hellman only",
            "The only suites with forward secrecy use DHE. Current browsers have removed it: they refuse the connection or fall back to RSA key exchange.",
            "Offer ECDHE suites, or TLS 1.3.";
        TLS_WEAK_DH = "tls_weak_dh_parameters", Medium, "Diffie-Hellman parameters are too short",
            "The server's Diffie-Hellman prime is shorter than 2048 bits, which a well-funded attacker can break (Logjam).",
            "Use one of the groups of RFC 7919 with 2048 bits or more, or ECDHE only.";
        TLS_NO_13 = "tls_1_3_not_offered", Informational, "TLS 1.3 is not offered",
            "The server stops at TLS 1.2. That is safe with good cipher suites, but TLS 1.3 is faster and has fewer ways to be configured badly.",
            "Turn TLS 1.3 on when the server software can do it.";
    }
    "Security headers" {
        CSP_MISSING = "csp_missing", Medium, "No Content-Security-Policy",
            "Nothing limits which scripts the browser runs, so one injection bug is enough for cross-site scripting.",
            "Send a Content-Security-Policy that starts from `default-src 'self'` and names what else is needed.";
        CSP_WEAK = "csp_weak", Low, "Content-Security-Policy permits unsafe script",
            "The policy allows inline script, `eval`, or scripts or plug-ins from anywhere, which takes away most of its protection.",
            "Remove `'unsafe-inline'`, `'unsafe-eval'` and wildcards from `script-src` and `object-src`; use nonces or hashes.";
        FRAMING_ALLOWED = "framing_allowed", Medium, "Page may be framed by any site",
            "Neither `X-Frame-Options` nor the CSP directive `frame-ancestors` keeps other sites out. They can frame the page and trick its users into clicks.",
            "Send `Content-Security-Policy: frame-ancestors 'self'`, or `X-Frame-Options: DENY`.";
        NOSNIFF_MISSING = "nosniff_missing", Low, "No X-Content-Type-Options",
            "Browsers may guess a content type other than the declared one, and so run an upload as script.",
            "Send `X-Content-Type-Options: nosniff`.";
        REFERRER_POLICY_MISSING = "referrer_policy_missing", Low, "No safe Referrer-Policy",
            "The full address of a page, with whatever its query carries, may be sent to other sites, or its origin may be sent without encryption.",
            "Send `Referrer-Policy: strict-origin-when-cross-origin` or stricter.";
        PERMISSIONS_POLICY_MISSING = "permissions_policy_missing", Informational, "No Permissions-Policy",
            "Camera, location and other browser features are not restricted for this page and its frames.",
            "Send a Permissions-Policy that turns off what the site does not use.";
        COOP_MISSING = "coop_missing", Informational, "No Cross-Origin-Opener-Policy",
            "A page that opens this one keeps a handle on its window. The values `unsafe-none` and unknown ones protect as little as none.",
            "Send `Cross-Origin-Opener-Policy: same-origin` where the site needs no cross-origin pop-ups.";
        REDIRECT_OFF_HOST = "redirect_off_host", Informational, "Redirects to another host or port",
            "The site answers with a redirect that leaves the scanned host and port. The scan stays on its target and did not follow it.",
            "If the other address is yours as well, scan it on its own.";
    }
    "Script integrity" {
        SCRIPT_NO_INTEGRITY = "script_without_integrity", Medium, "External script without integrity check",
            "A script from another host is loaded without an `integrity` attribute. The owner of that host controls this page.",
            "Add Subresource Integrity hashes, or serve the script from your own host.";
        STYLE_NO_INTEGRITY = "stylesheet_without_integrity", Low, "External stylesheet without integrity check",
            "A stylesheet from another host is loaded without an `integrity` attribute. It can change what the page shows and leak what it holds.",
            "Add Subresource Integrity hashes, or serve the stylesheet from your own host.";
        SCRIPT_MIXED = "script_over_http", High, "Script loaded over plain HTTP",
            "The page loads a script without encryption. An attacker on the path can replace it.",
            "Load the script over HTTPS.";
        STYLE_MIXED = "stylesheet_over_http", Medium, "Stylesheet loaded over plain HTTP",
            "The page loads a stylesheet without encryption. An attacker on the path can replace it; browsers block it, and the page breaks.",
            "Load the stylesheet over HTTPS.";
        FRAME_MIXED = "frame_over_http", Medium, "Frame loaded over plain HTTP",
            "The page frames content without encryption. An attacker on the path can replace it; browsers block it, and the page breaks.",
            "Load the framed content over HTTPS.";
        INTEGRITY_INVALID = "integrity_attribute_invalid", Low, "Integrity attribute has no usable hash",
            "Browsers ignore an `integrity` value without a sha256, sha384 or sha512 hash, and then check nothing.",
            "Write the value as `sha384-` followed by the base64 of the hash.";
        INTEGRITY_NO_CORS = "integrity_without_crossorigin", Low, "Integrity check without crossorigin",
            "A cross-origin resource with `integrity` but no `crossorigin` attribute is blocked by browsers, so the page is broken or somebody will remove the check.",
            "Add `crossorigin=\"anonymous\"` to the element.";
    }
    "Cross-origin policy" {
        CORS_REFLECT_CREDENTIALS = "cors_reflects_origin_with_credentials", High, "Any site may read answers with the visitor's login",
            "The server copies a foreign Origin into Access-Control-Allow-Origin and allows credentials. Any page can read what a logged-in visitor could.",
            "Compare the Origin with a fixed list of your own sites, exactly, before allowing it.";
        CORS_REFLECT = "cors_reflects_origin", Medium, "Any origin is allowed by reflection",
            "The server copies a foreign Origin into Access-Control-Allow-Origin. Without credentials this opens what is public, and what only a network position protects.",
            "Allow only origins from a fixed list, or send `*` if the content is really public.";
        CORS_NULL_CREDENTIALS = "cors_null_origin_with_credentials", High, "The null origin is allowed with credentials",
            "Sandboxed frames and local files have the origin `null`, so any site can make such a request with the visitor's cookies and read the answer.",
            "Never allow the origin `null`.";
        CORS_NULL = "cors_null_origin", Low, "The null origin is allowed",
            "Sandboxed frames and local files have the origin `null`, so this permits any site.",
            "Never allow the origin `null`.";
        CORS_WILDCARD = "cors_wildcard", Informational, "Every site may read public answers",
            "`Access-Control-Allow-Origin: *` lets every site read answers made without cookies. That is right for public content only.",
            "Keep it on public resources only.";
        CORS_WILDCARD_CREDENTIALS = "cors_wildcard_with_credentials", Low, "Wildcard origin together with credentials",
            "Browsers refuse this combination, so the server's configuration does not say what its author meant.",
            "Choose: a wildcard without credentials, or a fixed list of origins with them.";
        CORS_NO_VARY = "cors_missing_vary", Low, "Reflected origin without Vary",
            "The answer depends on the Origin header but does not say so, and a shared cache may serve one site's permission to another.",
            "Send `Vary: Origin` whenever the answer depends on it.";
    }
    "Cookies" {
        COOKIE_NO_SECURE = "cookie_without_secure", Medium, "Cookie without Secure",
            "The cookie was set without `Secure`, so a browser also sends it over plain HTTP.",
            "Set `Secure` on every cookie of an HTTPS site.";
        COOKIE_SESSION_NO_HTTPONLY = "session_cookie_without_httponly", Medium, "Session cookie readable by script",
            "A cookie that looks like a session or login token has no `HttpOnly`; a script injection can steal it.",
            "Set `HttpOnly` on session cookies.";
        COOKIE_NO_HTTPONLY = "cookie_without_httponly", Low, "Cookie readable by script",
            "The cookie has no `HttpOnly`, so every script on the page can read it.",
            "Set `HttpOnly` unless a script needs the cookie.";
        COOKIE_NO_SAMESITE = "cookie_without_samesite", Low, "Cookie without SameSite",
            "How the cookie travels with requests from other sites is left to each browser's default.",
            "Set `SameSite=Lax` or `Strict`.";
        COOKIE_NONE_INSECURE = "cookie_samesite_none_insecure", Medium, "SameSite=None without Secure",
            "Browsers reject `SameSite=None` cookies without `Secure`, and older ones send them everywhere in the clear.",
            "Add `Secure`, or choose `SameSite=Lax`.";
        COOKIE_BAD_PREFIX = "cookie_prefix_violation", Medium, "Cookie breaks its name prefix",
            "A `__Secure-` or `__Host-` name promises attributes that this cookie does not have, so browsers reject it.",
            "Give `__Secure-` cookies `Secure`; give `__Host-` cookies `Secure`, `Path=/` and no `Domain`.";
        COOKIE_WIDE_DOMAIN = "cookie_wide_domain", Informational, "Cookie shared with sibling hosts",
            "The `Domain` attribute sends the cookie to every host below that name.",
            "Leave `Domain` out unless other hosts need the cookie.";
    }
    "Exposed files" {
        GIT_EXPOSED = "git_repository_exposed", High, "Git repository is readable",
            "Files of a `.git` folder are served. The source code and its history, secrets included, can usually be rebuilt from them.",
            "Keep `.git` out of the web root or deny access to it, and change any secret the history ever held.";
        VCS_EXPOSED = "vcs_metadata_exposed", Medium, "Version control metadata is readable",
            "Files of a Subversion or Mercurial working copy are served and show names and often content of the source.",
            "Deny access to version control folders.";
        ENV_EXPOSED = "environment_file_exposed", Critical, "Environment file is readable",
            "A `.env` file is served. Such files hold database passwords and API keys.",
            "Remove it from the web root, and change every secret in it.";
        CREDENTIALS_EXPOSED = "credentials_exposed", Critical, "File with credentials is readable",
            "A file that holds passwords, tokens or private keys is served to anyone.",
            "Remove the file and change the credentials it held.";
        DUMP_EXPOSED = "database_dump_exposed", Critical, "Database dump is readable",
            "A database dump can be downloaded.",
            "Remove the dump from the web root and treat its content as disclosed.";
        SERVER_STATUS_EXPOSED = "server_internals_exposed", Medium, "Server internals are readable",
            "A diagnostic page of the server is public and shows configuration, requests or environment.",
            "Restrict the page to administrators or turn it off.";
        BUILD_FILE_EXPOSED = "build_file_exposed", Low, "Build or deployment file is readable",
            "A file that describes how the site is built or deployed is served and discloses versions and internal structure.",
            "Keep build files out of the web root.";
        API_DESCRIPTION = "api_description_public", Informational, "API description is public",
            "A machine-readable API description is served. It lists every operation, the forgotten ones too.",
            "Check that everything in it is meant to be public.";
        DIRECTORY_LISTING = "directory_listing", Medium, "Folder content is listed",
            "The server lists the files of a folder, and so shows what no page links to.",
            "Turn automatic listings off.";
        EXTRA_PATH_FOUND = "requested_path_found", Informational, "A path you asked about exists",
            "A path from the setting `exposed_files.extra_paths` answers with content of its own.",
            "Decide whether it should.";
        ROBOTS_SENSITIVE = "robots_names_sensitive_paths", Informational, "robots.txt names sensitive paths",
            "robots.txt (RFC 9309) is public, and lists paths that look administrative or private.",
            "Protect such paths by access control; do not count on robots.txt to hide them.";
        SECURITY_TXT_MISSING = "security_txt_missing", Informational, "No security.txt",
            "There is no `/.well-known/security.txt` (RFC 9116), so a finder of a weakness does not know whom to tell.",
            "Publish one with `Contact` and `Expires`.";
        SECURITY_TXT_INVALID = "security_txt_invalid", Low, "security.txt is expired or incomplete",
            "RFC 9116 asks for at least one `Contact` and one `Expires` in the future.",
            "Correct the file and renew it before it expires.";
    }
    "DNS posture" {
        SPF_MISSING = "spf_missing", Medium, "No SPF record",
            "The domain does not say which servers may send its mail (RFC 7208), which makes forged mail easier.",
            "Publish a TXT record such as `v=spf1 -all` for a domain that sends no mail.";
        SPF_PERMISSIVE = "spf_permissive", Medium, "SPF record permits every sender",
            "The record ends in `+all`, or has no `all` and no redirect, so forged mail is not refused.",
            "End the record in `-all` or `~all`.";
        SPF_INVALID = "spf_invalid", Low, "SPF record cannot be used",
            "Receivers treat the domain as having no usable SPF: there is more than one record, or it needs more than ten DNS look-ups (RFC 7208, 4.6.4).",
            "Keep one record with at most ten look-ups.";
        DMARC_MISSING = "dmarc_missing", Medium, "No DMARC record",
            "Receivers have no instruction for mail that fails SPF and DKIM (RFC 7489).",
            "Publish a `_dmarc` TXT record, at first with `p=none` and a report address.";
        DMARC_NONE = "dmarc_policy_none", Low, "DMARC only observes",
            "The policy `p=none` asks receivers to deliver forged mail as usual.",
            "Move to `p=quarantine`, then `p=reject`, when the reports look right.";
        DMARC_INVALID = "dmarc_invalid", Low, "DMARC record cannot be used",
            "The record has no valid `p` tag, or there is more than one.",
            "Publish exactly one record that starts `v=DMARC1; p=`.";
        CAA_MISSING = "caa_missing", Low, "No CAA record",
            "Any certificate authority may issue for this domain (RFC 8659).",
            "Publish CAA records that name the authorities you use.";
    }
    "Technology" {
        VERSION_DISCLOSED = "version_disclosed", Low, "Software version is disclosed",
            "A header or a page discloses the exact version of the software, which lets known weaknesses be matched.",
            "Turn version banners off, and keep the software current.";
        TECHNOLOGY_SEEN = "technology_detected", Informational, "Technology recognised",
            "The site shows which software it runs. That is normal; it helps to keep an inventory.",
            "Nothing to do, when the inventory agrees.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn issue_ids_are_unique_and_all_texts_are_present() {
        let mut seen = HashSet::new();
        for issue in ALL {
            assert!(seen.insert(issue.id), "{} is declared twice", issue.id);
            assert!(
                issue.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                issue.id
            );
            assert!(
                !issue.title.is_empty() && issue.description.ends_with('.') && issue.remediation.ends_with('.'),
                "{}",
                issue.id
            );
            assert_eq!(find(issue.id), Some(*issue));
            for text in [issue.description, issue.remediation] {
                assert_eq!(text.matches('`').count() % 2, 0, "{}", issue.id);
            }
            assert!(!serde_json::to_string(issue).unwrap().contains('`'));
        }
        assert_eq!(find("no such issue"), None);
    }

    #[test]
    fn severities_are_written_and_read_by_the_same_name() {
        for severity in Severity::ALL {
            let text = serde_json::to_string(&severity).unwrap();
            assert_eq!(text, format!("\"{}\"", severity.name()));
            assert_eq!(serde_json::from_str::<Severity>(&text).unwrap(), severity);
        }
    }
}
