//! `provost audit verify --data`: every byte of a data folder, beside its kernel and without it.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    fixture::Fixture,
    world::{Kernel, provost},
};

/// Runs the command; its exit code, and what it printed for programs.
fn verify(data: &Path) -> (i32, Value) {
    let data = data.to_str().unwrap();
    let done = provost(&["audit", "verify", "--data", data, "--output", "json"]);
    let json = serde_json::from_slice(&done.stdout).unwrap_or_default();
    (done.status.code().unwrap(), json)
}

#[tokio::test]
async fn a_data_folder_verifies_beside_its_kernel_and_after_it() {
    let mut kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    let runtime = kernel.runtime(&tenant, "on_prem").await;
    for page in 0..20 {
        let event = runtime.event(json!({"page": page}));
        runtime.audit(&kernel, &event).await.must(202);
    }
    let path = format!("/v1/tenants/{tenant}/audit/checkpoint");
    let signed = kernel.get(&path).await.must(200);
    let beside = verify(&kernel.data());
    kernel.stop().await;
    let after = verify(&kernel.data());
    for (code, json) in [beside, after] {
        assert_eq!((code, &json["verified"]), (0, &json!(true)), "{json}");
        // The root of the tenant's log is the one that the kernel signs.
        let mut logs = json["tenants"].as_array().unwrap().iter();
        let log = logs.find(|log| log["tenant_id"] == *tenant).unwrap();
        assert_eq!(
            (&log["size"], &log["root"]),
            (&signed.json["size"], &signed.json["root"])
        );
    }
}

#[test]
fn a_flipped_bit_in_any_sealed_segment_or_index_is_named_with_file_offset_and_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Fixture::all("store").last().unwrap().unpack(&data);
    let (code, json) = verify(&data);
    assert_eq!((code, &json["verified"]), (0, &json!(true)), "{json}");
    let entries = fs::read_dir(data.join("journal")).unwrap();
    let mut sealed: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let kept = |path: &Path| {
        path.extension()
            .is_some_and(|one| one == "segz" || one == "idx")
    };
    sealed.retain(|path| kept(path));
    assert!(sealed.len() >= 20, "{sealed:?}");
    for path in sealed {
        let whole = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        for at in [whole.len() / 4, whole.len() / 2, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            fs::write(&path, flipped).unwrap();
            let (code, json) = verify(&data);
            assert_eq!(
                (code, &json["verified"]),
                (4, &json!(false)),
                "{name} at {at}: {json}"
            );
            let mut findings = json["findings"].as_array().unwrap().iter();
            let found = findings.find(|found| found["file"] == name);
            let found = found.unwrap_or_else(|| panic!("{name} at {at}: {json}"));
            let named = usize::try_from(found["offset"].as_u64().unwrap()).unwrap();
            assert!(named <= at, "{name} at {at}: {found}");
            let hit = found["tenants"].as_array().unwrap();
            assert!(
                name.ends_with("idx") || !hit.is_empty(),
                "{name} at {at}: {found}"
            );
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(verify(&data).0, 0, "mended, it verifies again");
}

#[test]
fn what_is_no_data_folder_is_not_read_and_no_verdict() {
    let empty = tempfile::tempdir().unwrap();
    for folder in [empty.path(), &empty.path().join("nowhere")] {
        assert_eq!(verify(folder), (2, Value::Null), "{}", folder.display());
    }
}
