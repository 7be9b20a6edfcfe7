"""The example image, run as a client would run it: everything that `--json` promises."""

import csv
import hashlib
import tarfile


def test_it_learns_and_reports_what_it_reached(digits_job):
    job = digits_job.completed()
    assert job.metrics["accuracy"] > 0.95
    assert "train_rows=1348" in job.log
    assert job.members("model.tar.gz") == ["model.json"]
    with tarfile.open(job.output / "output/output.tar.gz") as tar:
        name = next(m for m in tar.getnames() if m.endswith("confusion.csv"))
        rows = list(csv.reader(tar.extractfile(name).read().decode().splitlines()))
    assert sum(int(cell) for row in rows[1:] for cell in row[1:]) == 449


def test_the_report_is_about_the_files_that_are_there(digits_job):
    report = digits_job.completed().report
    by_name = {artifact["name"]: artifact for artifact in report["artifacts"]}
    for name in ("model.tar.gz", "output.tar.gz"):
        content = (digits_job.output / "output" / name).read_bytes()
        assert by_name[name]["size"] == len(content)
        assert by_name[name]["sha256"] == hashlib.sha256(content).hexdigest()


def test_each_attempt_to_phone_home_fails_and_is_named(digits_job):
    job = digits_job.completed()
    tried = [line for line in job.log if line.startswith("tried ")]
    assert len(tried) == 3, tried
    assert not any("REACHED" in line or "no answer" in line for line in tried), tried
    targets = job.report["attempts"]["targets"]
    assert any(t["address"] == "169.254.169.254" and t["port"] == 80 for t in targets), targets
    names = {t["name"].rstrip(".") for t in targets if t["name"]}
    assert {"telemetry.example.com", "packages.example.org"} <= names, targets


def test_the_seal_is_read_back_before_the_first_line(digits_job):
    kinds = [event["event"] for event in digits_job.completed().events]
    assert kinds.index("sealed") < kinds.index("log")
    seal = digits_job.of("sealed")[0]["seal"]
    assert seal["interfaces"] == ["lo"]
    assert seal["noNewPrivileges"] is True
    assert seal["seccompMode"] == 2
    assert all(int(bits, 16) == 0 for bits in seal["capabilities"].values()), seal


def test_a_wrong_hyperparameter_fails_the_job_with_its_reason(belljar, digits_image, folder):
    job = belljar.train(digits_image, folder, hyperparameters={"trees": "many"})
    assert job.exit_code == 1
    outcome = job.report["outcome"]
    assert outcome["status"] == "failed"
    assert "AlgorithmError" in outcome["reason"] and "trees=`many`" in outcome["reason"], outcome
