//! Proofs of single events.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Hash, check_record, record_hash};

use super::{Scene, curl_admin, script, verify};
use crate::tool::arg;

/// The files of one proof.
#[derive(Debug, Clone)]
struct Files {
    proof: PathBuf,
    leaf: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(folder: &Path, seq: u64) -> Self {
        Self {
            proof: folder.join(format!("{seq}.tlog-proof")),
            leaf: folder.join(format!("{seq}.json")),
            key: folder.join("log.vkey"),
        }
    }

    /// What the script says; our own command must say the same.
    fn judged(&self) -> (bool, String) {
        let (believed, said) = script("verify_proof.py", &[&self.proof, &self.leaf, &self.key]);
        let (proof, leaf, key) = (arg(&self.proof), arg(&self.leaf), arg(&self.key));
        let (code, json) = verify(&["--proof", proof, "--leaf", leaf, "--key", key]);
        let wanted = if believed { 0 } else { 4 };
        assert_eq!(
            (code, &json["verified"]),
            (wanted, &believed.into()),
            "{said}{json}"
        );
        (believed, said)
    }

    /// The same proof with another text, beside it.
    fn with_proof(&self, text: &str) -> Self {
        let proof = self.proof.with_extension("changed");
        fs::write(&proof, text).unwrap();
        Self {
            proof,
            ..self.clone()
        }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.proof).unwrap()
    }
}

#[tokio::test]
async fn every_event_of_a_tenant_is_proved_to_forty_lines_of_python() {
    let scene = Scene::with(40).await;
    let events = scene.kernel.events(&scene.tenant).await;
    assert!(events.len() > 40, "{}", events.len());
    let folder = scene.path("proofs");
    for (seq, event) in (1_u64..).zip(&events) {
        scene.prove(seq, &folder);
        let files = Files::of(&folder, seq);
        let (believed, said) = files.judged();
        assert!(believed, "event {seq}: {said}");
        assert!(said.contains(&format!("index {} of ", seq - 1)), "{said}");
        assert!(believed_by_cloudflare(&files), "event {seq}");
        let leaf = fs::read(&files.leaf).unwrap();
        let leaf: serde_json::Value = serde_json::from_slice(&leaf).unwrap();
        assert_eq!(leaf, *event, "the leaf is the event itself");
    }
}

#[tokio::test]
async fn an_event_that_was_changed_or_moved_is_proved_to_nobody() {
    let scene = Scene::with(9).await;
    let folder = scene.path("proofs");
    let size = scene.size().await;
    (1..=size).for_each(|seq| scene.prove(seq, &folder));
    let files = Files::of(&folder, 8);
    assert!(files.judged().0);

    // Changed: one letter, one byte more, one less, nothing at all.
    let leaf = fs::read(&files.leaf).unwrap();
    let mut other = leaf.clone();
    let at = other.iter().position(|byte| *byte == b'1').unwrap();
    other[at] = b'2';
    let longer = [&leaf[..], b"\n"].concat();
    for bytes in [&other, &longer, &leaf[..leaf.len() - 1], &[]] {
        let changed = Files {
            leaf: folder.join("changed.json"),
            ..files.clone()
        };
        fs::write(&changed.leaf, bytes).unwrap();
        let (believed, said) = changed.judged();
        assert!(!believed && said.contains("another root follows"), "{said}");
    }

    // Moved: to every other place there is, and to places there are not.
    for index in (0..=size).chain([1_000_000, u64::from(u32::MAX)]) {
        let text = files
            .text()
            .replace("index 7\n", &format!("index {index}\n"));
        let (believed, said) = files.with_proof(&text).judged();
        assert_eq!(believed, index == 7, "{index}: {said}");
    }

    // Another event's proof, in either direction.
    let neighbour = Files::of(&folder, 9);
    let crossed = Files {
        proof: neighbour.proof,
        ..files.clone()
    };
    assert!(!crossed.judged().0);

    // A hash of the path dropped, doubled, or exchanged with its neighbour.
    let text = files.text();
    let (head, note) = text.split_once("\n\n").unwrap();
    let lines: Vec<&str> = head.lines().collect();
    assert!(lines.len() > 4, "{text}");
    let rebuilt = |lines: &[&str]| format!("{}\n\n{note}", lines.join("\n"));
    let (mut dropped, mut doubled, mut exchanged) = (lines.clone(), lines.clone(), lines.clone());
    dropped.remove(3);
    doubled.insert(3, lines[3]);
    exchanged.swap(2, 3);
    for lines in [dropped, doubled, exchanged] {
        let (believed, said) = files.with_proof(&rebuilt(&lines)).judged();
        assert!(!believed, "{said}");
    }
}

#[tokio::test]
async fn a_checkpoint_that_was_not_signed_by_the_key_is_believed_by_nobody() {
    let scene = Scene::with(3).await;
    let folder = scene.path("proofs");
    scene.prove(2, &folder);
    let files = Files::of(&folder, 2);
    let text = files.text();
    let size = scene.size().await;

    // Another size, another root, another signature.
    let (rest, signature) = text.trim_end().rsplit_once(' ').unwrap();
    let mut forged = STANDARD.decode(signature).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    let root = text.lines().rev().nth(2).unwrap();
    for changed in [
        text.replace(&format!("\n{size}\n"), &format!("\n{}\n", size + 1)),
        text.replace(root, &STANDARD.encode([7; 32])),
        format!("{rest} {}\n", STANDARD.encode(forged)),
        format!("{rest} AAAA\n"),
    ] {
        assert_ne!(changed, text);
        let (believed, said) = files.with_proof(&changed).judged();
        assert!(!believed, "{said}");
    }

    // The key of another tenant's log, and of another installation.
    let other = Scene::with(3).await;
    other.prove(2, &other.path("p"));
    let foreign = Files::of(&other.path("p"), 2);
    assert!(foreign.judged().0);
    let crossed = Files {
        key: foreign.key,
        ..files.clone()
    };
    let (believed, said) = crossed.judged();
    assert!(!believed && said.contains("has not signed"), "{said}");

    // A key that is none is a mistake of whoever asks, and no verdict.
    let (proof, leaf) = (arg(&files.proof), arg(&files.leaf));
    let (code, json) = verify(&[
        "--proof",
        proof,
        "--leaf",
        leaf,
        "--vkey",
        "me+00000000+AAAA",
    ]);
    assert_eq!((code, json), (2, serde_json::Value::Null));
    let gone = folder.join("gone");
    let (code, _) = verify(&[
        "--proof",
        arg(&gone),
        "--leaf",
        leaf,
        "--key",
        arg(&files.key),
    ]);
    assert_eq!(code, 2, "what cannot be read is neither true nor false");
}

#[tokio::test]
async fn a_proof_comes_by_curl_alone_and_a_later_checkpoint_is_consistent_with_it() {
    let scene = Scene::with(5).await;
    let path = format!("/v1/tenants/{}/audit", scene.tenant);
    let answer = curl_admin(&scene, &format!("{path}/3/proof"));
    let folder = scene.path("by-hand");
    fs::create_dir(&folder).unwrap();
    let files = Files::of(&folder, 3);
    let text = |field: &str| answer[field].as_str().unwrap();
    fs::write(&files.proof, text("proof")).unwrap();
    fs::write(&files.leaf, STANDARD.decode(text("leaf")).unwrap()).unwrap();
    fs::write(&files.key, text("verifier_key")).unwrap();
    assert!(files.judged().0);

    let held = curl_admin(&scene, &format!("{path}/checkpoint"));
    let from = held["size"].as_u64().unwrap();
    let grant = serde_json::json!({"feature": "reports", "limit": true});
    scene.kernel.grant(&scene.tenant, grant).await;
    let later = curl_admin(&scene, &format!("{path}/checkpoint?from_size={from}"));
    let (size, root) = opened(&later);
    assert_eq!(size, from + 1);
    assert_eq!(hex::encode(root.0), later["root"].as_str().unwrap());
    let hashes = later["consistency"].as_array().unwrap().iter();
    let proof: Vec<Hash> = hashes
        .map(|hash| Hash::parse_hash(hash.as_str().unwrap()).unwrap())
        .collect();
    tlog_tiles::check_tree(&proof, size, root, from, opened(&held).1).unwrap();
    let wrong = tlog_tiles::check_tree(&proof, size, root, from, Hash([7; 32]));
    assert!(wrong.is_err(), "another beginning is not consistent");
}

/// Verifies a checkpoint of the admin API with `signed_note`; answers its size and root.
fn opened(answer: &serde_json::Value) -> (u64, Hash) {
    let text = |field: &str| answer[field].as_str().unwrap();
    note(text("checkpoint").as_bytes(), text("verifier_key")).unwrap()
}

/// Says whether `signed_note` and `tlog_tiles` believe a proof.
fn believed_by_cloudflare(files: &Files) -> bool {
    let text = files.text();
    let (head, checkpoint) = text.split_once("\n\n").unwrap();
    let key = fs::read_to_string(&files.key).unwrap();
    let Some((size, root)) = note(checkpoint.as_bytes(), key.trim()) else {
        return false;
    };
    let mut lines = head.lines().skip(1);
    let index = lines.next().unwrap().strip_prefix("index ").unwrap();
    let path: Vec<Hash> = lines.map(|line| Hash::parse_hash(line).unwrap()).collect();
    let leaf = record_hash(&fs::read(&files.leaf).unwrap());
    check_record(&path, size, root, index.parse().unwrap(), leaf).is_ok()
}

fn note(bytes: &[u8], key: &str) -> Option<(u64, Hash)> {
    let verifier = StandardVerifier::new(key).unwrap();
    let note = Note::from_bytes(bytes).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    note.verify(&known).ok()?;
    let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
    Some((checkpoint.size(), *checkpoint.hash()))
}
