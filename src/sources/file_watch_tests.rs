use super::*;
use std::os::unix::fs::symlink;

const SOON: Duration = Duration::from_secs(20);

struct Watched {
    dir: tempfile::TempDir,
    changes: Changes,
}

impl Watched {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn told(&mut self) {
        timeout(SOON, self.changes.next()).await.expect("the change is told");
    }

    /// Nothing is told for longer than a change takes to be told.
    async fn silent(&mut self) {
        let told = timeout(QUIET * 4, self.changes.next()).await;
        assert!(told.is_err(), "told without a change");
    }
}

fn watched(file: &str, make: impl FnOnce(&Path)) -> Watched {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path());
    let watch = FileWatch::start(&dir.path().join(file)).expect("watched");
    Watched { dir, changes: watch.spawn() }
}

#[tokio::test]
async fn written_in_place_replaced_and_neighbours() {
    let mut watched = watched("mcr.json5", |dir| {
        fs::write(dir.join("mcr.json5"), "{}").expect("writes");
    });
    let file = watched.path("mcr.json5");
    fs::write(&file, "{rules: []}").expect("writes");
    watched.told().await;
    // Reading it, and other files beside it, are nothing.
    assert_eq!(fs::read_to_string(&file).expect("reads"), "{rules: []}");
    fs::write(watched.path("other"), "x").expect("writes");
    watched.silent().await;
    // As editors and configuration tools do it: again and again.
    for text in ["{version: 1}", "{version: 1, rules: []}", "{}"] {
        fs::write(watched.path(".new"), text).expect("writes");
        fs::rename(watched.path(".new"), &file).expect("renames");
        watched.told().await;
    }
    fs::remove_file(&file).expect("removes");
    watched.told().await;
    fs::write(&file, "{}").expect("writes");
    watched.told().await;
}

/// How the kubelet changes a mounted ConfigMap: a new directory, a new link beside `..data`, one
/// rename.
#[tokio::test]
async fn a_config_map_that_is_swapped() {
    let put = |dir: &Path, version: &str| {
        fs::create_dir(dir.join(version)).expect("a directory");
        fs::write(dir.join(version).join("mcr.json5"), version).expect("writes");
        symlink(version, dir.join("..tmp")).expect("a link");
        fs::rename(dir.join("..tmp"), dir.join("..data")).expect("renames");
    };
    let mut watched = watched("mcr.json5", |dir| {
        put(dir, "..2026_1");
        symlink("..data/mcr.json5", dir.join("mcr.json5")).expect("a link");
    });
    let dir = watched.dir.path().to_owned();
    for (old, new) in [("..2026_1", "..2026_2"), ("..2026_2", "..2026_3")] {
        put(&dir, new);
        fs::remove_dir_all(dir.join(old)).expect("removes");
        watched.told().await;
        assert_eq!(fs::read_to_string(dir.join("mcr.json5")).expect("reads"), new);
    }
    // In the directory that the links lead to now.
    fs::write(dir.join("..2026_3/mcr.json5"), "longer than before").expect("writes");
    watched.told().await;
    watched.silent().await;
}

#[tokio::test]
async fn a_directory_that_goes_and_comes_back() {
    let mut watched = watched("etc/mcr/mcr.json5", |dir| {
        fs::create_dir_all(dir.join("etc/mcr")).expect("directories");
        fs::write(dir.join("etc/mcr/mcr.json5"), "{}").expect("writes");
    });
    for turn in 0..3 {
        fs::remove_dir_all(watched.path("etc")).expect("removes");
        watched.told().await;
        fs::create_dir_all(watched.path("etc/mcr")).expect("directories");
        fs::write(watched.path("etc/mcr/mcr.json5"), "x".repeat(turn + 3)).expect("writes");
        watched.told().await;
    }
    // Moved away as a whole, and another in its place.
    fs::rename(watched.path("etc/mcr"), watched.path("etc/old")).expect("renames");
    watched.told().await;
    fs::rename(watched.path("etc/old"), watched.path("etc/mcr")).expect("renames");
    watched.told().await;
}

#[tokio::test]
async fn links_on_the_way_are_followed() {
    let mut watched = watched("conf/mcr.json5", |dir| {
        for version in ["a", "b"] {
            fs::create_dir_all(dir.join("versions").join(version)).expect("directories");
            fs::write(dir.join("versions").join(version).join("real"), version).expect("writes");
            symlink("../../versions/../versions/./x", dir.join("versions").join(version).join("l"))
                .expect("a link");
        }
        symlink(dir.join("versions/a"), dir.join("conf")).expect("a link");
        symlink("real", dir.join("versions/a/mcr.json5")).expect("a link");
        symlink("real", dir.join("versions/b/mcr.json5")).expect("a link");
    });
    fs::write(watched.path("versions/a/real"), "changed").expect("writes");
    watched.told().await;
    symlink(watched.path("versions/b"), watched.path("tmp")).expect("a link");
    fs::rename(watched.path("tmp"), watched.path("conf")).expect("renames");
    watched.told().await;
    fs::write(watched.path("versions/b/real"), "changed, too").expect("writes");
    watched.told().await;
    fs::write(watched.path("versions/a/real"), "not ours any more").expect("writes");
    watched.silent().await;
}

#[tokio::test]
async fn a_file_written_without_pause_is_told_once_in_a_while() {
    let mut watched = watched("f", |dir| fs::write(dir.join("f"), "0").expect("writes"));
    let file = watched.path("f");
    let writer = async {
        let mut tick = tokio::time::interval(QUIET / 10);
        for n in 0u64.. {
            tick.tick().await;
            fs::write(&file, n.to_string()).expect("writes");
        }
    };
    tokio::select! {
        () = watched.told() => {}
        () = writer => {}
    }
}

#[test]
fn a_chain_of_links_without_end_is_left() {
    let dir = tempfile::tempdir().expect("a directory");
    symlink("b", dir.path().join("a")).expect("a link");
    symlink("a", dir.path().join("b")).expect("a link");
    let real = fs::canonicalize(dir.path()).expect("a path");
    let places = places(&real.join("a"));
    assert_eq!(places[&real], BTreeSet::from(["a".into(), "b".into()]));
}
