use std::{fs, os::unix::fs::PermissionsExt};

use provost_protocol::{
    Timestamp,
    entity::{DeploymentMode, RuntimeType},
    sign::Signer,
};

use super::*;
use crate::{
    authority::{Authority, CheckedCsr, RUNTIME_TTL_MS},
    signers::Signers,
};

const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const NOW: Timestamp = Timestamp::from_millis(1_795_325_728_000);

struct Kernel {
    dir: tempfile::TempDir,
    authority: Authority,
}

fn kernel() -> Kernel {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(dir.path(), A.parse().unwrap(), NOW).unwrap();
    Kernel { dir, authority }
}

impl Kernel {
    fn certify(&self, key: &TlsKey) -> String {
        let csr = CheckedCsr::from_pem(&key.request_pem().unwrap()).unwrap();
        let subject = (A.parse().unwrap(), A.parse().unwrap());
        self.authority
            .issue_runtime(&csr, subject, NOW, RUNTIME_TTL_MS)
            .unwrap()
            .pem
    }

    fn pair(&self) -> TlsPair {
        let key = TlsKey::generate().unwrap();
        let certificate = self.certify(&key);
        TlsPair::new(key, certificate).unwrap()
    }

    fn answer(&self, key: &TlsKey) -> EnrolAnswer {
        let signers = Signers::create(&self.dir.path().join("keys")).unwrap();
        EnrolAnswer {
            runtime_id: A.parse().unwrap(),
            tenant_id: A.parse().unwrap(),
            install_id: A.parse().unwrap(),
            deployment_mode: DeploymentMode::ALL[0],
            runtime_type: RuntimeType::ALL[0],
            certificate: self.certify(key),
            root: self.authority.root_pem(),
            license_keys: vec![PublicKeyEntry::of(&signers.license.public_key())],
            checkpoint_key: PublicKeyEntry::of(&signers.checkpoint.public_key()),
            kernel_name: format!("spiffe://{A}/kernel"),
        }
    }
}

fn keystore() -> (tempfile::TempDir, Keystore) {
    let dir = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(&dir.path().join("keys")).unwrap();
    (dir, keystore)
}

#[test]
fn an_enrolment_is_read_back_whole_and_the_pending_key_is_gone() {
    let (kernel, (_dir, keystore)) = (kernel(), keystore());
    assert!(keystore.enrolled().unwrap().is_none());
    let binding = keystore.binding_key().unwrap();
    let key = keystore.pending_key().unwrap();
    let answer = kernel.answer(&key);
    let spki = key.spki_sha256();

    keystore.save_enrolment(&answer, key).unwrap();

    let enrolled = keystore.enrolled().unwrap().unwrap();
    assert_eq!(enrolled.answer, answer);
    assert_eq!(enrolled.binding.cnf(), binding.cnf());
    assert_eq!(enrolled.pair.key().spki_sha256(), spki);
    assert_eq!(enrolled.pair.certificate_pem(), answer.certificate);
    assert_eq!(enrolled.trust.roots(), 1);
    assert_eq!(enrolled.license_keys, answer.license_keys);
    assert!(!keystore.dir().join(PENDING_FILE).exists());
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_two_keys() {
    let (_dir, keystore) = keystore();
    let first = (
        keystore.binding_key().unwrap(),
        keystore.pending_key().unwrap(),
    );
    let again = Keystore::open(keystore.dir()).unwrap();
    assert_eq!(again.binding_key().unwrap().cnf(), first.0.cnf());
    assert_eq!(
        again.pending_key().unwrap().spki_sha256(),
        first.1.spki_sha256()
    );
}

#[test]
fn the_key_of_a_pair_that_was_saved_is_pending_no_more() {
    let (_dir, keystore) = keystore();
    let (pending, recovery) = (keystore.pending_key(), keystore.recovery_key());
    let kernel = kernel();
    let pair_of = |key: TlsKey| {
        let certificate = kernel.certify(&key);
        TlsPair::new(key, certificate).unwrap()
    };
    let kept = |name: &str| keystore.dir().join(name).exists();
    let other = kernel.pair();
    keystore.forget_answered(&other).unwrap();
    assert!(kept(PENDING_FILE) && !keystore.has_recovered(&other));
    let (pending, recovery) = (pair_of(pending.unwrap()), pair_of(recovery.unwrap()));
    assert!(keystore.has_recovered(&recovery) && !keystore.has_recovered(&pending));
    keystore.forget_answered(&pending).unwrap();
    assert!(!kept(PENDING_FILE) && kept(RECOVERY_FILE));
}

#[test]
fn a_crash_at_any_step_leaves_a_whole_pair_and_the_next_save_succeeds() {
    for step in pairs::STEPS {
        let (kernel, (_dir, keystore)) = (kernel(), keystore());
        let (old, new, newest) = (kernel.pair(), kernel.pair(), kernel.pair());
        keystore.save_pair(&old).unwrap();
        let crash = |at| {
            if at == step {
                let source = io::Error::other("the power went out");
                return Err(files::io_error("go on", Path::new("/"), source));
            }
            Ok(())
        };
        pairs::save(keystore.dir(), &new, crash).unwrap_err();

        let held = keystore.pair().unwrap();
        let moved = matches!(step, pairs::Step::Names | pairs::Step::Sweep);
        let expected = if moved { &new } else { &old };
        assert_eq!(
            held.certificate_pem(),
            expected.certificate_pem(),
            "{step:?}"
        );

        keystore.save_pair(&newest).unwrap();
        let held = keystore.pair().unwrap();
        assert_eq!(held.certificate_pem(), newest.certificate_pem(), "{step:?}");
        let by_name = fs::read_to_string(keystore.dir().join("runtime.pem")).unwrap();
        assert_eq!(by_name, newest.certificate_pem(), "{step:?}");
    }
}

#[test]
fn a_crash_while_the_first_pair_is_saved_leaves_none_and_can_be_repeated() {
    let (kernel, (_dir, keystore)) = (kernel(), keystore());
    let pair = kernel.pair();
    let crash = |step| match step {
        pairs::Step::Pointer => Err(files::io_error(
            "go on",
            Path::new("/"),
            io::Error::other("power"),
        )),
        _ => Ok(()),
    };
    pairs::save(keystore.dir(), &pair, crash).unwrap_err();
    assert!(keystore.pair().is_err());
    keystore.save_pair(&pair).unwrap();
    keystore.pair().unwrap();
}

#[test]
fn the_pair_before_is_kept_and_older_ones_are_swept() {
    let (kernel, (_dir, keystore)) = (kernel(), keystore());
    for _ in 0..4 {
        keystore.save_pair(&kernel.pair()).unwrap();
    }
    let mut pairs: Vec<String> = fs::read_dir(keystore.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("pair-"))
        .collect();
    pairs.sort();
    assert_eq!(pairs, ["pair-3", "pair-4"]);
}

#[test]
fn a_damaged_or_missing_pair_gives_way_to_the_one_before_and_says_so() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("no pointer", |dir| {
            fs::remove_file(dir.join("current")).unwrap()
        }),
        ("no folder", |dir| {
            fs::remove_dir_all(dir.join("pair-2")).unwrap()
        }),
        ("no key", |dir| {
            fs::remove_file(dir.join("pair-2/runtime.key")).unwrap()
        }),
        ("half a certificate", |dir| {
            let path = dir.join("pair-2/runtime.pem");
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        }),
        ("another key", |dir| {
            fs::copy(
                dir.join("pair-1/runtime.key"),
                dir.join("pair-2/runtime.key"),
            )
            .unwrap();
        }),
    ];
    for (name, damage) in damages {
        let (kernel, (_dir, keystore)) = (kernel(), keystore());
        let (old, new, next) = (kernel.pair(), kernel.pair(), kernel.pair());
        keystore.save_pair(&old).unwrap();
        keystore.save_pair(&new).unwrap();
        let (sound, fault) = keystore.sound_pair().unwrap();
        assert_eq!(sound.certificate_pem(), new.certificate_pem());
        assert!(fault.is_none());

        damage(keystore.dir());
        let (sound, fault) = keystore.sound_pair().unwrap();
        // Where only the pointer is gone, the newest whole pair is the one it named.
        let expected = if name == "no pointer" { &new } else { &old };
        assert_eq!(
            sound.certificate_pem(),
            expected.certificate_pem(),
            "{name}"
        );
        assert!(fault.is_some(), "{name}");

        keystore.save_pair(&next).unwrap();
        let (sound, fault) = keystore.sound_pair().unwrap();
        assert_eq!(sound.certificate_pem(), next.certificate_pem(), "{name}");
        assert!(fault.is_none(), "{name}: {fault:?}");
    }
}

#[test]
fn a_recoverys_key_is_its_own_and_lasts_until_it_is_dropped() {
    let (_dir, keystore) = keystore();
    let key = keystore.recovery_key().unwrap().spki_sha256();
    assert_ne!(keystore.pending_key().unwrap().spki_sha256(), key);
    keystore.forget_pending().unwrap();
    assert_eq!(keystore.recovery_key().unwrap().spki_sha256(), key);
    keystore.forget_recovery().unwrap();
    assert_ne!(keystore.recovery_key().unwrap().spki_sha256(), key);
}

#[test]
fn every_key_file_is_0600_and_refused_when_it_is_not() {
    let (kernel, (_dir, keystore)) = (kernel(), keystore());
    keystore.binding_key().unwrap();
    let key = keystore.pending_key().unwrap();
    let answer = kernel.answer(&key);
    keystore.save_enrolment(&answer, key).unwrap();
    for name in [
        "binding.key",
        "runtime.key",
        "license-keys.json",
        "enrolment.json",
    ] {
        let path = keystore.dir().join(name);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600, "{name}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        keystore.enrolled().unwrap_err();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        keystore.enrolled().unwrap().unwrap();
    }
}

#[test]
fn a_certificate_for_another_key_is_not_saved() {
    let (kernel, (_dir, keystore)) = (kernel(), keystore());
    keystore.binding_key().unwrap();
    let key = keystore.pending_key().unwrap();
    let answer = kernel.answer(&TlsKey::generate().unwrap());
    let refused = keystore.save_enrolment(&answer, key);
    assert!(
        matches!(refused, Err(KeystoreError::Pair(PairError::OtherKey))),
        "{refused:?}"
    );
    assert!(keystore.enrolled().unwrap().is_none());
}

#[test]
fn debug_of_all_that_is_held_shows_no_key() {
    let (kernel, (_dir, keystore)) = (kernel(), keystore());
    keystore.binding_key().unwrap();
    let key = keystore.pending_key().unwrap();
    let answer = kernel.answer(&key);
    keystore.save_enrolment(&answer, key).unwrap();
    let shown = format!("{:?} {keystore:?}", keystore.enrolled().unwrap().unwrap());
    for name in ["binding.key", "runtime.key"] {
        let pem = fs::read_to_string(keystore.dir().join(name)).unwrap();
        for line in pem.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!shown.contains(line), "{name}");
        }
    }
}
