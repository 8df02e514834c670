use super::*;
use serde_json::json;

fn now() -> Time {
    Time(1_000_000_000)
}

fn rule(name: &str, port: u16) -> Rule {
    let spec = json!({
        "name": name,
        "input": {"interface": "eth0", "group": "239.1.1.1", "port": port},
        "outputs": [{"interface": "eth1", "group": "239.2.2.2", "port": port}],
    });
    config::rule_from_json(spec.to_string().as_bytes(), Origin::Runtime).expect("a rule")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

async fn save(file: &mut StateFile, at: Time, rules: &[Rule]) -> Option<Notice> {
    file.begin(at, rules.to_vec());
    assert!(!file.status().saved && file.due().is_none());
    let outcome = file.written().await;
    file.ended(at, outcome)
}

#[tokio::test]
async fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = dir.path().join("lib/mcr");
    let (mut file, found) = StateFile::open(&state, now());
    assert_eq!((found, file.due()), (vec![], None));
    let rules = vec![rule("a", 5000), rule("b", 5001)];
    file.changed(now());
    assert_eq!(file.due(), Some(now()));
    assert_eq!(save(&mut file, now(), &rules).await, None);
    assert!(file.status().saved);
    assert_eq!(names(&state), [NAME]);
    // The next one not at once: a few times a second at most.
    file.changed(now());
    assert_eq!(file.due(), Some(now().plus(PAUSE)));
    let (again, found) = StateFile::open(&state, now());
    assert_eq!(found, rules);
    assert!(again.status().saved);
    let text = fs::read_to_string(state.join(NAME)).expect("reads");
    let document: Document = serde_json::from_str(&text).expect("a document");
    assert_eq!(document, Document::of(&rules));
    file.finish(vec![rule("c", 1)]).await;
    assert_eq!(StateFile::open(&state, now()).1, [rule("c", 1)]);
}

#[tokio::test]
async fn a_corrupt_file_is_put_aside_and_what_is_sound_taken_over() {
    let sound = serde_json::to_value(Document::of(&[rule("a", 5000), rule("b", 5001)]))
        .expect("serialises");
    let mut one_wrong = sound.clone();
    one_wrong["rules"][0]["input"]["group"] = "10.0.0.300".into();
    let mut old = sound.clone();
    old["version"] = 7.into();
    let whole = sound.to_string();
    let cases: [(&str, usize, &str); 7] = [
        ("", 0, "is not JSON"),
        (&whole[..whole.len() / 2], 0, "is not JSON"),
        ("\u{0}\u{0}\u{0}\u{0}", 0, "is not JSON"),
        ("{}", 0, "rules: is not a list"),
        ("[1, 2]", 0, "rules: is not a list"),
        (&one_wrong.to_string(), 1, "rules[0].input.group (\"a\")"),
        (&old.to_string(), 2, "version"),
    ];
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(NAME);
    for (number, (text, usable, mistake)) in cases.iter().enumerate() {
        fs::write(&path, text).expect("writes");
        let Found::Wrong { mistakes, .. } = load(&path) else { panic!("{text}") };
        assert!(mistakes.iter().any(|told| told.contains(mistake)), "{mistakes:?}");
        let (mut file, rules) = StateFile::open(dir.path(), now());
        assert_eq!(rules.len(), *usable, "{text}");
        let aside = dir.path().join(format!("{NAME}.corrupt-{}", number + 1));
        assert_eq!(fs::read_to_string(aside).expect("kept"), *text);
        assert!(!path.exists());
        // What is in force is written again.
        assert!(file.due().is_some() && !file.status().saved);
        assert_eq!(save(&mut file, now(), &rules).await, None);
        assert_eq!(StateFile::open(dir.path(), now()).1, rules);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_put_aside() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join(NAME)).expect("a directory in its place");
    let (file, rules) = StateFile::open(dir.path(), now());
    assert_eq!(rules, []);
    assert!(file.due().is_some());
    assert_eq!(names(dir.path()), [format!("{NAME}.corrupt-1")]);
}

#[tokio::test]
async fn a_write_that_fails_is_told_once_and_tried_again_later_each_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut file, _) = StateFile::open(dir.path(), now());
    let old = [rule("old", 1)];
    assert_eq!(save(&mut file, now(), &old).await, None);
    let in_the_way = dir.path().join(format!("{NAME}.tmp"));
    fs::create_dir(&in_the_way).expect("a directory in the way");
    let told = save(&mut file, now(), &[rule("new", 1)]).await;
    let Some(Notice::StateFileFailed { reason, .. }) = told else { panic!("{told:?}") };
    assert!(reason.contains("runtime-rules.json.tmp"), "{reason}");
    assert_eq!(file.status().error, Some(reason));
    assert!(!file.status().saved);
    for seconds in [1u64, 2, 4, 8, 16, 32, 60, 60] {
        let due = file.due().expect("tried again");
        assert_eq!(due, now().plus(Duration::from_secs(seconds)));
        if seconds < 60 {
            assert_eq!(save(&mut file, now(), &[rule("new", 1)]).await, None, "told twice");
        }
    }
    // What was there is there still, and the next change is a reason to try at once.
    assert_eq!(load(&dir.path().join(NAME)), Found::Rules(old.to_vec()));
    file.changed(now());
    assert_eq!(file.due(), Some(now().plus(PAUSE)));
    fs::remove_dir(&in_the_way).expect("out of the way");
    let told = save(&mut file, now(), &[rule("new", 1)]).await;
    assert!(matches!(told, Some(Notice::StateFileSaved { .. })), "{told:?}");
    assert!(file.status().saved);
    assert_eq!(load(&dir.path().join(NAME)), Found::Rules(vec![rule("new", 1)]));
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(NAME);
    write(&path, &[rule("old", 1)]).expect("writes");
    let full = replace(&path, b"new", |_| File::options().write(true).open("/dev/full"));
    let error = full.expect_err("no space");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert_eq!(load(&path), Found::Rules(vec![rule("old", 1)]));
    // A temporary file that a crash has left behind is no obstacle.
    fs::write(dir.path().join(format!("{NAME}.tmp")), "half").expect("writes");
    write(&path, &[rule("new", 1)]).expect("writes");
    assert_eq!(load(&path), Found::Rules(vec![rule("new", 1)]));
    assert_eq!(names(dir.path()), [NAME]);
}
