//! auth_file as PgBouncer reads it.

use super::*;

#[test]
fn userlist_as_pgbouncer_reads_it() {
    let md5 = format!("md5{}", "0a".repeat(16));
    let text = format!(
        "; c\n\n  \"a\" \"p\"\"q\" rest\n\"b\"\t\"{md5}\"\n\"c\" \"SCRAM-SHA-256$4096:c2FsdA==$a:b\"\n\"d\" \"\"\n\"a\" \"new\"\n# broken\n\"e\" \"x\"\n"
    );
    let (list, errors) = Userlist::parse(Path::new("u.txt"), text.as_bytes());
    assert_eq!(list.get("a"), Some(&Secret::Plain("new".to_owned())));
    assert_eq!(list.get("b"), Some(&Secret::Md5(md5)));
    assert!(matches!(list.get("c"), Some(Secret::Scram(_))));
    assert_eq!(list.get("d"), Some(&Secret::Empty));
    assert_eq!(list.get("e"), None, "nothing after the broken line");
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0]
            .to_string()
            .starts_with("u.txt:8: broken auth file"),
        "{}",
        errors[0]
    );
    assert!(!format!("{list:?}").contains("new"));
}

#[test]
fn userlist_tells_whether_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("userlist.txt");
    std::fs::write(&path, "\"a\" \"b\"\n").unwrap();
    let (list, _) = Userlist::load(&path);
    assert!(!list.is_stale(&path));
    std::fs::write(&path, "\"a\" \"bc\"\n").unwrap();
    assert!(list.is_stale(&path));
    let (missing, errors) = Userlist::load(&folder.path().join("nothing"));
    assert!(missing.entries.is_empty() && errors.len() == 1);
}
