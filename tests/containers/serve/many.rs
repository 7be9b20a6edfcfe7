//! A container of many models.

use crate::archives::archive;
use crate::inside::scene;
use belljar_domain::serving::{Answer, Ask};
use belljar_testkit::server::{assignment, serving};
use belljar_testkit::{As, Scene, Server};
use tar::EntryType;

fn start(scene: &Scene, id: &str) -> Server {
    let mut many = serving();
    many.models = Some(format!("{}/models/", scene.path().display()));
    let mut server = Server::start(scene, &assignment(scene, id, &[], many), &[]);
    server.until_healthy();
    server
}

fn bring(server: &Server, name: &str, key: &str) -> Answer {
    server.ask(&Ask::Model { name: name.to_owned(), key: key.to_owned() }).unwrap().0
}

fn forget(server: &Server, name: &str) -> Answer {
    server.ask(&Ask::Forget { name: name.to_owned() }).unwrap().0
}

fn said(server: &Server, name: &str, file: &str) -> String {
    server.invoke(&format!("cat /opt/ml/models/{name}/model{file}")).1
}

#[test]
fn models_come_and_go() {
    for who in As::all() {
        let scene = scene(who);
        archive(&scene, "models/a.tar.gz", &[(EntryType::Regular, "weights", "first")]);
        scene.file("models/sub/plain.bin", "second");
        let mut server = start(&scene, "i-1-1");
        let (_, environment) = server.invoke("environment");
        assert!(environment.contains("SAGEMAKER_MULTI_MODEL=true"));
        assert_eq!(bring(&server, "aa", "a.tar.gz"), Answer::Done, "{who:?}");
        assert_eq!(bring(&server, "bb", "sub/plain.bin"), Answer::Done, "{who:?}");
        assert_eq!(said(&server, "aa", "/weights"), "first", "{who:?}");
        assert_eq!(said(&server, "bb", ""), "second", "{who:?}");
        // One that is there stays, also when what it was made of has gone.
        std::fs::remove_file(scene.path().join("models/a.tar.gz")).unwrap();
        assert_eq!(bring(&server, "aa", "a.tar.gz"), Answer::Done, "{who:?}");
        assert_eq!(forget(&server, "aa"), Answer::Done);
        assert_eq!(forget(&server, "aa"), Answer::Done);
        assert!(said(&server, "aa", "/weights").contains("No such file"));
        assert!(matches!(bring(&server, "aa", "a.tar.gz"), Answer::Failed { .. }));
        let report = server.stop();
        let [input] = report.inputs.as_slice() else { panic!("{report:?}") };
        let files: Vec<_> = input.files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!((input.channel.as_str(), files), ("models", vec!["a.tar.gz", "sub/plain.bin"]));
        assert!(!server.folder().join("ml").exists());
    }
}

#[test]
fn many_ask_for_one_and_get_one() {
    let scene = scene(As::User);
    archive(&scene, "models/a.tar.gz", &[(EntryType::Regular, "weights", "first")]);
    let mut server = start(&scene, "i-2-1");
    std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..16).map(|_| scope.spawn(|| bring(&server, "aa", "a.tar.gz"))).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), Answer::Done);
        }
    });
    assert_eq!(said(&server, "aa", "/weights"), "first");
    let _report = server.stop();
}

#[test]
fn neither_name_nor_key_leads_out() {
    for who in As::all() {
        let scene = scene(who);
        scene.file("models/m", "model");
        let secret = scene.file("secret", "secret");
        std::os::unix::fs::symlink(&secret, scene.path().join("models/link")).unwrap();
        let mut server = start(&scene, "i-3-1");
        for (name, key) in [
            ("..", "m"),
            ("", "m"),
            ("a/b", "m"),
            ("AA", "m"),
            ("zz", "m"),
            ("aa", "../secret"),
            ("aa", "/m"),
            ("aa", "./m"),
            ("aa", ""),
            ("aa", "link"),
            ("aa", "none"),
        ] {
            let answer = bring(&server, name, key);
            assert!(matches!(answer, Answer::Failed { .. }), "{who:?} {name} {key}: {answer:?}");
        }
        // What the container puts in a model's place is not followed.
        let target = scene.dir("target");
        let link = format!("link {} /opt/ml/models/cc", target.display());
        assert_eq!(server.invoke(&link).0, 200);
        assert_eq!(bring(&server, "cc", "m"), Answer::Done, "{who:?}");
        assert_eq!(said(&server, "cc", ""), "model", "{who:?}");
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
        let (_, tree) = server.invoke("tree /opt/ml/models");
        assert!(!tree.contains("aa") && tree.contains("cc/model"), "{tree}");
        let _report = server.stop();
    }
}
