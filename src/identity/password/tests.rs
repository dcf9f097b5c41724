//! Tests of the password rules, the stored texts and the limit of parallel hashes.

use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Waker};

use proptest::prelude::*;

use super::*;

/// A Werkzeug hash of `Kastrel-Test-1`.
const OF_WERKZEUG: &str = "scrypt:32768:8:1$AbCdEf0123456789$a9ef84a1133e086301001d63e6c328d894558112e2c705f46e5244392e193cdc25f846444a549ff739b18e8eff5c848bcbd4c48c4a846367762d5d1573b6eded";

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

fn checked(text: &str, names: &[&str]) -> Result<(), PasswordFault> {
    password(text).check_new(names)
}

/// A hash with other parameters than new ones have.
fn hash_with(text: &str, memory: u32, passes: u32) -> PasswordHash {
    let mut output = [0; OUTPUT];
    assert!(argon2id(text, memory, passes, 1, &[7; SALT], &mut output));
    let (salt, output) = (SaltString::encode_b64(&[7; SALT]).unwrap(), Output::new(&output).unwrap());
    PasswordHash::parse(&format!("$argon2id$v=19$m={memory},t={passes},p=1${salt}${output}")).unwrap()
}

#[test]
fn password_of_a_link_needs_the_length_alone() {
    let check = |text: &str| Password::new(text.to_owned()).check_length();
    assert_eq!(check("aaaaaaaaaaa"), Err(PasswordFault::TooShort));
    assert_eq!(check("aaaaaaaaaaaa"), Ok(()));
    assert_eq!(check(&"a".repeat(257)), Err(PasswordFault::TooLong));
}

#[test]
fn length_of_a_new_password_is_12_to_256_characters_of_its_normal_form() {
    let long = "Zx9-kQ4 ".repeat(40);
    let of = |length: usize| long.chars().take(length).collect::<String>();
    assert_eq!(checked("", &[]), Err(PasswordFault::TooShort));
    assert_eq!(checked("q7Zf!k2Wm#x", &[]), Err(PasswordFault::TooShort));
    assert_eq!(checked("q7Zf!k2Wm#xR", &[]), Ok(()));
    assert_eq!(checked(&of(257), &[]), Err(PasswordFault::TooLong));
    assert_ne!(checked(&of(256), &[]), Err(PasswordFault::TooLong));
    // Twelve and eleven characters, of which one is two code points as typed.
    assert_eq!(checked("q7Zf!k2Wm#xe\u{301}", &[]), Ok(()));
    assert_eq!(checked("q7Zf!k2Wmxe\u{301}", &[]), Err(PasswordFault::TooShort));
    // Characters count, not bytes.
    assert_eq!(checked("日本語日本語", &[]), Err(PasswordFault::TooShort));
}

#[test]
fn name_of_the_account_is_refused_in_any_case_and_form() {
    let names = ["Bartholomäus-Q7", "Xq7-vGh2-mmZ@example.org"];
    for text in [
        "Bartholomäus-Q7",
        "bartholomÄUS-q7",
        "Bartholoma\u{308}us-Q7",
        " Bartholomäus-Q7 ",
        "Xq7-vGh2-mmZ@example.org",
        "xq7-vgh2-mmz",
    ] {
        assert_eq!(checked(text, &names), Err(PasswordFault::Name), "{text}");
    }
    assert_eq!(checked("xq7-vgh2-mmz", &[]), Ok(()), "it is refused as a name only");
    assert_eq!(checked("q7Zf!k2Wm#xR", &["", "@", " "]), Ok(()), "an empty name is no name");
}

#[test]
fn common_passwords_and_simple_patterns_are_refused() {
    for text in [
        "passwordpassword",
        "Password1234",
        "123456789012",
        "qwertyuiop12",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "kastrelkastrel",
        "kastrel12345",
        "iloveyou1234",
    ] {
        assert_eq!(checked(text, &[]), Err(PasswordFault::Common), "{text}");
    }
    // A name with an ending is found as well.
    assert_eq!(checked("zwqxplmrtvk1", &["zwqxplmrtvk"]), Err(PasswordFault::Common));
    assert_eq!(checked("zwqxplmrtvk1", &[]), Ok(()));
}

#[test]
fn phrases_and_other_scripts_are_accepted() {
    for text in [
        "correct horse battery staple",
        "Zug-Lampe-Wolke-7 fährt",
        "лошадь батарея скрепка",
        "🦊🌧️🚲🧲🪜🧦🎻🦑🪁🧊🫖🪴",
    ] {
        assert_eq!(checked(text, &[]), Ok(()), "{text}");
    }
}

#[test]
fn fault_is_one_short_sentence() {
    for fault in [PasswordFault::TooShort, PasswordFault::TooLong, PasswordFault::Name, PasswordFault::Common] {
        let text = fault.to_string();
        assert!(text.ends_with('.') && text.matches('.').count() == 1 && text.len() < 80, "{text}");
    }
}

#[test]
fn debug_output_has_no_password_and_no_hash() {
    let hash = PasswordHash::parse(OF_WERKZEUG).unwrap();
    assert_eq!(format!("{:?} {hash:?}", password("secret")), "Password(..) PasswordHash(..)");
}

#[tokio::test]
async fn new_hash_verifies_its_password_alone_and_has_the_current_parameters() {
    let hasher = PasswordHasher::new(2);
    let (right, wrong) = (password("correct horse"), password("correct horsf"));
    let hash = hasher.hash(&right).await;
    assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
    let stored = PasswordHash::parse(hash.as_str()).unwrap();
    assert!(stored == hash, "the stored text has all of the hash");
    assert_eq!(hasher.verify(&right, Some(&stored)).await, Verified::Right);
    assert_eq!(hasher.verify(&wrong, Some(&stored)).await, Verified::Wrong);
    assert!(hasher.hash(&right).await != hash, "each hash has its own salt");
}

#[tokio::test]
async fn password_verifies_in_each_form_of_its_characters() {
    let hasher = PasswordHasher::new(1);
    let hash = hasher.hash(&password("Cafe\u{301} au lait")).await;
    assert_eq!(hasher.verify(&password("Caf\u{e9} au lait"), Some(&hash)).await, Verified::Right);
    assert_eq!(hasher.verify(&password("Cafe au lait"), Some(&hash)).await, Verified::Wrong);
}

#[tokio::test]
async fn old_hashes_verify_and_ask_for_a_new_one() {
    let hasher = PasswordHasher::new(2);
    for (text, hash) in [
        ("Kastrel-Test-1", PasswordHash::parse(OF_WERKZEUG).unwrap()),
        ("less memory", hash_with("less memory", MEMORY - 1024, PASSES)),
        ("one pass", hash_with("one pass", MEMORY, 1)),
    ] {
        assert_eq!(hasher.verify(&password(text), Some(&hash)).await, Verified::RightButOld, "{text}");
        assert_eq!(hasher.verify(&password("other"), Some(&hash)).await, Verified::Wrong, "{text}");
    }
    let stronger = hash_with("more memory", MEMORY + 1024, PASSES);
    assert_eq!(hasher.verify(&password("more memory"), Some(&stronger)).await, Verified::Right);
}

#[tokio::test]
async fn unknown_account_is_wrong_and_costs_a_current_hash() {
    let hasher = PasswordHasher::new(1);
    assert_eq!(hasher.verify(&password("anything"), None).await, Verified::Wrong);
    let decoy = PasswordHash::decoy().scheme;
    assert_eq!(decoy.memory(), u64::from(MEMORY));
    assert!(!decoy.is_old());
    let Scheme::Argon2id { memory, passes, lanes, salt, output } = decoy else { panic!("the decoy is argon2id") };
    assert_eq!((memory, passes, lanes, salt.len(), output.len()), (MEMORY, PASSES, LANES, SALT, OUTPUT));
}

#[test]
fn stored_texts_of_another_form_or_out_of_bounds_are_refused() {
    let valid = DECOY;
    let of = |from: &str, to: &str| {
        let text = valid.replacen(from, to, 1);
        assert_ne!(text, valid);
        text
    };
    assert!(PasswordHash::parse(valid).is_ok());
    for text in [
        String::new(),
        "plain".to_owned(),
        "!".to_owned(),
        of("argon2id", "argon2i"),
        of("argon2id", "argon2d"),
        of("argon2id", "scrypt"),
        of("v=19", "v=16"),
        of("v=19$", ""),
        of("m=19456", "m=65537"),
        of("m=19456", "m=4294967295"),
        of("m=19456", "m=7"),
        of("t=2", "t=17"),
        of("t=2", "t=0"),
        of("p=1", "p=5"),
        of("p=1", "p=0"),
        of("p=1", "p=1,keyid=AAAA"),
        of("p=1", "p=1,x=1"),
        valid[..valid.rfind('$').unwrap()].to_owned(),
        format!("{}$AAAAAAAAAAAAAAAAAAAA", &valid[..valid.rfind('$').unwrap()]),
        of("S2FzdHJlbCBkZWNveSAwMQ", "S2Fz"),
        OF_WERKZEUG.replacen("32768", "1048576", 1),
    ] {
        assert_eq!(PasswordHash::parse(&text).unwrap_err(), PasswordHashFault, "{text}");
    }
    for text in [of("m=19456", "m=65536"), of("t=2", "t=16"), of("p=1", "p=4"), OF_WERKZEUG.to_owned()] {
        assert_eq!(PasswordHash::parse(&text).unwrap().as_str(), text);
    }
}

#[tokio::test]
async fn hash_takes_permits_by_its_memory_and_at_most_all() {
    for (parallel, memory, left) in [
        (4, u64::from(MEMORY), 3),
        (4, u64::from(MEMORY) + 1, 2),
        (4, 32 * 1024, 2),
        (4, 64 * 1024, 0),
        (4, 0, 3),
        (1, 64 * 1024, 0),
        (0, 1, 0),
    ] {
        let hasher = PasswordHasher::new(parallel);
        let _permits = hasher.acquire(memory).await;
        assert_eq!(hasher.permits.available_permits(), left, "{parallel} {memory}");
    }
}

#[tokio::test]
async fn clones_share_the_limit() {
    let hasher = PasswordHasher::new(1);
    let permits = hasher.acquire(1).await;
    let other = hasher.clone();
    let mut waits = pin!(other.acquire(1));
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(permits);
    let _permits = waits.await;
}

#[tokio::test]
async fn computation_keeps_its_permits_when_its_caller_stops_waiting() {
    let hasher = PasswordHasher::new(1);
    let (end, ended) = mpsc::channel::<()>();
    {
        let mut run = pin!(hasher.run(1, move || ended.recv().is_ok()));
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(hasher.permits.available_permits(), 0);
    end.send(()).unwrap();
    let _permits = hasher.acquire(1).await;
}

#[tokio::test]
#[should_panic(expected = "out of luck")]
async fn panic_of_a_computation_reaches_the_caller() {
    PasswordHasher::new(1).run::<()>(1, || panic!("out of luck")).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_stored_text_is_read_without_a_panic(text in "\\PC{0,40}|\\$argon2id\\$v=19\\$(m=[0-9]{1,10}|,|t=[0-9]{1,3}|p=[0-9]){0,5}\\$[A-Za-z0-9+/]{0,30}\\$[A-Za-z0-9+/]{0,90}") {
        if let Ok(hash) = PasswordHash::parse(&text) {
            prop_assert_eq!(hash.as_str(), text);
            prop_assert!(hash.scheme.memory() <= u64::from(MOST_MEMORY));
        }
    }

    #[test]
    fn any_new_password_is_checked_without_a_panic(text in "\\PC{0,60}", name in "\\PC{0,20}") {
        let is_short = text.nfc().count() < LEAST_LENGTH;
        prop_assert_eq!(checked(&text, &[&name]) == Err(PasswordFault::TooShort), is_short);
    }

    #[test]
    fn normal_form_fits_its_reserved_text(text in "[\\u{80}-\\u{ffff}a-z]{0,50}") {
        let length = password(&text).normalized().len();
        prop_assert!(length <= 3 * text.len(), "{} {}", length, text.len());
    }
}
