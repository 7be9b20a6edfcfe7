//! `/opt/ml`, to the letter.

use crate::support::{artifact, complete, entries, printed, scene};
use belljar_testkit::{As, Training};
use serde_json::{Value, json};

const CONFIG: &str = "/opt/ml/input/config/";

#[test]
fn the_tree_is_there_before_the_program_runs() {
    for who in As::all() {
        let scene = scene(who);
        scene.file("data/part-0.csv", "1,2\n");
        scene.file("data/nested/part-1.csv", "3\n");
        let folder = scene.path().join("data");
        let training = Training::probe("tree", &["tree", "/opt/ml"])
            .option("--input", &format!("train={}", folder.display()))
            .option("--input", &format!("one={}", folder.join("part-0.csv").display()));
        let run = complete(&scene, &training);
        let tree: Vec<String> = printed(&run)
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let [kind, _mode, _size, path] = words[..] else { panic!("{line}") };
                format!("{kind} {}", path.trim_start_matches("/opt/ml"))
            })
            .collect();
        let expected = [
            "dir ",
            "dir /checkpoints",
            "dir /code",
            "dir /input",
            "dir /input/config",
            "file /input/config/hyperparameters.json",
            "file /input/config/inputdataconfig.json",
            "file /input/config/resourceconfig.json",
            "dir /input/data",
            "dir /input/data/one",
            // A channel that is one file keeps its base name.
            "file /input/data/one/part-0.csv",
            "dir /input/data/train",
            "dir /input/data/train/nested",
            "file /input/data/train/nested/part-1.csv",
            "file /input/data/train/part-0.csv",
            "dir /model",
            "dir /output",
            "dir /output/data",
            "dir /output/intermediate",
        ];
        assert_eq!(tree, expected, "{who:?}");
    }
}

#[test]
fn the_configuration_files_are_to_the_letter() {
    for who in As::all() {
        let scene = scene(who);
        scene.file("data/x", "x");
        let data = format!("train={}", scene.path().join("data").display());
        let read = |job: &str, file: &str| -> Value {
            let training = Training::probe(job, &["cat", &format!("{CONFIG}{file}.json")])
                .option("--input", &data)
                .option("--hyperparameter", "epochs=3")
                .option("--hyperparameter", "lr=0.1")
                .option("--hyperparameter", "flag=true")
                .option("--hyperparameter", "empty=")
                .option("--hyperparameter", r#"list=["a", 1]"#);
            serde_json::from_str(&printed(&complete(&scene, &training))).unwrap()
        };
        // Every value is the string that was sent.
        let sent = json!({"epochs": "3", "lr": "0.1", "flag": "true", "empty": "",
            "list": "[\"a\", 1]"});
        assert_eq!(read("h", "hyperparameters"), sent, "{who:?}");
        // No ContentType, because none was given.
        let channel = json!({"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None"});
        assert_eq!(read("i", "inputdataconfig"), json!({ "train": channel }), "{who:?}");
        let group = json!({"instance_group_name": "homogeneousCluster", "instance_type": "local",
            "hosts": ["algo-1"]});
        let expected = json!({"current_host": "algo-1", "current_instance_type": "local",
            "current_group_name": "homogeneousCluster", "hosts": ["algo-1"],
            "instance_groups": [group], "network_interface_name": "lo", "topology": null});
        assert_eq!(read("r", "resourceconfig"), expected, "{who:?}");
    }
}

#[test]
fn without_hyperparameters_the_file_is_an_empty_object() {
    for who in As::all() {
        let scene = scene(who);
        let path = format!("{CONFIG}hyperparameters.json");
        let run = complete(&scene, &Training::probe("none", &["cat", &path]));
        assert_eq!(printed(&run), "{}", "{who:?}");
    }
}

/// Channels and the folder of the inputs must be writable: SDK v3 makes files there.
#[test]
fn everything_below_can_be_written() {
    for who in As::all() {
        let scene = scene(who);
        let before = scene.file("data/x", "unchanged");
        let data = format!("train={}", scene.path().join("data").display());
        for (job, path) in [
            ("w-input", "/opt/ml/input/sm_training.env"),
            ("w-channel", "/opt/ml/input/data/train/x"),
            ("w-data", "/opt/ml/input/data/y"),
            ("w-code", "/opt/ml/code/train.py"),
            ("w-checkpoints", "/opt/ml/checkpoints/1"),
            ("w-intermediate", "/opt/ml/output/intermediate/x"),
            ("w-root", "/usr-local-something"),
        ] {
            let training = Training::probe(job, &["fill", path, "10"]).option("--input", &data);
            complete(&scene, &training);
        }
        assert_eq!(std::fs::read(before).unwrap(), b"unchanged", "{who:?}: it is a copy");
    }
}

#[test]
fn the_two_output_folders_become_two_artifacts() {
    for who in As::all() {
        let scene = scene(who);
        complete(&scene, &Training::probe("model", &["fill", "/opt/ml/model/m.bin", "1000"]));
        let file = |name: &str| vec![(name.to_owned(), tar::EntryType::Regular)];
        assert_eq!(entries(&artifact(&scene, "model", "model.tar.gz")), file("m.bin"), "{who:?}");
        assert!(!artifact(&scene, "model", "output.tar.gz").exists(), "{who:?}: nothing was there");
        let training = Training::probe("data", &["fill", "/opt/ml/output/data/d.bin", "1000"]);
        let run = complete(&scene, &training);
        assert_eq!(entries(&artifact(&scene, "data", "output.tar.gz")), file("d.bin"), "{who:?}");
        let warnings = run.report().warnings.join(" ");
        assert!(warnings.contains("nothing in /opt/ml/model"), "{who:?}: {warnings}");
    }
}
