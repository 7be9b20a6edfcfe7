use super::*;
use crate::machine::Machine;
use crate::request::Surroundings;
use crate::request::serve::ServeRequest;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A warden that is a script: `$2` is `--job`, `$3` the folder.
struct Scene {
    dir: tempfile::TempDir,
    table: Arc<Table>,
    stop: watch::Sender<Option<Ask>>,
}

impl Scene {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("warden");
        std::fs::write(&program, format!("#!/bin/sh\nset -e\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, table: Arc::default(), stop: watch::channel(None).0 }
    }

    fn hosting(&self, program: &str) -> Hosting {
        let around = Surroundings {
            machine: Machine { cpu_millis: 2000, memory_bytes: Some(4 << 30) },
            directory: "/tmp".into(),
            default_name: "belljar-1".into(),
        };
        let request = ServeRequest { image: "x".into(), ..ServeRequest::default() };
        let environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
        Hosting {
            accepted: request.accept(&around, &self.dir.path().join("evidence")).unwrap(),
            state: State::open(&self.dir.path().join("state")).unwrap(),
            warden: Warden { program: self.dir.path().join(program), environment },
        }
    }

    /// Hosts, and hears every event.
    async fn host(&self, program: &str) -> Result<(), HostingError> {
        let (told, mut heard) = mpsc::channel(1);
        let listens = async { while heard.recv().await.is_some() {} };
        let hosts = host(self.hosting(program), self.table.clone(), told, self.stop.subscribe());
        tokio::join!(hosts, listens).0
    }

    fn folders(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.dir.path().join("state/endpoints")).unwrap();
        all.map(|e| e.unwrap().path()).collect()
    }
}

const DIES: &str = r#"[ "$1" = run ] && touch "$3/journal.jsonl" && exit 3"#;

#[tokio::test]
async fn of_an_instance_whose_warden_dies_nothing_is_left() {
    let s = Scene::new(&format!("{DIES}\ntouch \"$3/../../swept\""));
    let e = s.host("warden").await.unwrap_err();
    assert!(matches!(e, HostingError::Failed(_)), "{e}");
    assert!(s.folders().is_empty() && s.dir.path().join("state/swept").exists());
    assert!(s.table.get("belljar-1").is_none());
    // One that cannot be started has begun nothing.
    assert!(matches!(s.host("no-such").await, Err(HostingError::Local(_))));
    assert!(s.folders().is_empty());
}

/// The next warden finds what is left by the folder.
#[tokio::test]
async fn what_cannot_be_swept_is_not_removed() {
    let s = Scene::new(&format!("{DIES}\nexit 4"));
    assert!(s.host("warden").await.is_err());
    assert_eq!(s.folders().len(), 1);
}

/// Nobody takes its events, as where a terminal is held up.
#[tokio::test]
async fn who_does_not_listen_can_stop_it_all_the_same() {
    let talks = r#"[ "$1" = run ] || exit 0
        i=0
        while [ $i -lt 500 ]; do echo '{"event":"warning","message":"m"}'; i=$((i+1)); done &
        echo '{"event":"health","healthy":true,"why":"","at":5}'
        read -r word
        echo "$word" > "$3/../../told"
        wait"#;
    let s = Scene::new(talks);
    let (told, _held_up) = mpsc::channel(1);
    let hosts = host(s.hosting("warden"), s.table.clone(), told, s.stop.subscribe());
    let asks = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        s.stop.send_replace(Some(Ask::Stop));
        let file = s.dir.path().join("state/told");
        while std::fs::read_to_string(&file).unwrap_or_default() != "stop\n" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        s.stop.send_replace(Some(Ask::Kill));
    };
    let both = async { tokio::join!(hosts, asks).0 };
    tokio::time::timeout(Duration::from_secs(60), both).await.unwrap().unwrap();
    assert!(s.folders().is_empty());
}
