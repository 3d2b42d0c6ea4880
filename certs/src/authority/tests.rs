use std::{fs, os::unix::fs::PermissionsExt};

use rcgen::{BasicConstraints, SanType, string::Ia5String};
use x509_parser::{extensions::GeneralName, prelude::FromDer};

use super::{contents::ROOT_TTL_MS, *};
use crate::certificate::{CertificateFault, Leaf};

const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const NOW: Timestamp = Timestamp::from_millis(1_795_325_728_123);

fn authority() -> (tempfile::TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(dir.path(), A.parse().unwrap(), NOW).unwrap();
    (dir, authority)
}

fn subject() -> (TenantId, RuntimeId) {
    (A.parse().unwrap(), A.parse().unwrap())
}

#[test]
fn an_authority_is_read_back_as_it_was_made() {
    let (dir, made) = authority();
    let read = Authority::open(dir.path()).unwrap();
    assert_eq!(read.install(), made.install());
    assert_eq!(read.root_sha256(), made.root_sha256());
    let mode = fs::metadata(dir.path().join(KEY_FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn an_authority_is_never_made_over_another() {
    let (dir, made) = authority();
    let again = Authority::create(dir.path(), A.parse().unwrap(), NOW);
    assert!(
        matches!(again, Err(AuthorityError::Exists { .. })),
        "{again:?}"
    );
    assert_eq!(
        Authority::open(dir.path()).unwrap().root_sha256(),
        made.root_sha256()
    );
}

#[test]
fn a_crash_between_key_and_root_leaves_a_folder_that_can_be_tried_again() {
    let (dir, _) = authority();
    fs::remove_file(dir.path().join(ROOT_FILE)).unwrap();
    Authority::create(dir.path(), A.parse().unwrap(), NOW).unwrap();
}

#[test]
fn a_ca_key_that_others_may_read_is_refused() {
    let (dir, _) = authority();
    let key = dir.path().join(KEY_FILE);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = Authority::open(dir.path()).unwrap_err();
    assert!(
        matches!(refused, AuthorityError::File(FileError::TooOpen { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_root_that_is_not_the_keys_is_damage() {
    let (dir, _) = authority();
    let (_other_dir, other) = authority();
    fs::write(dir.path().join(ROOT_FILE), other.root_pem()).unwrap();
    let refused = Authority::open(dir.path());
    assert!(
        matches!(refused, Err(AuthorityError::Damaged { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_root_lasts_ten_years_and_may_sign_leaves_only() {
    let (_dir, authority) = authority();
    let (_, root) =
        x509_parser::certificate::X509Certificate::from_der(authority.root_der()).unwrap();
    assert_eq!(
        authority.root_not_after.millis_since(NOW) / 86_400_000,
        3649
    );
    let constraints = root.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    assert!(root.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert!(root.name_constraints().unwrap().is_none());
    let names = root.subject_alternative_name().unwrap().unwrap();
    let name = format!("spiffe://{A}");
    assert_eq!(names.value.general_names, [GeneralName::URI(&name)]);
}

#[test]
fn a_runtime_gets_nothing_that_its_request_asks_for_but_its_key() {
    let (_dir, authority) = authority();
    let key = new_key().unwrap();
    let mut wishes = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    let kernel = Ia5String::try_from(format!("spiffe://{A}/kernel")).unwrap();
    wishes.subject_alt_names.push(SanType::URI(kernel));
    wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wishes.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    wishes.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let csr = wishes.serialize_request(&key).unwrap().pem().unwrap();
    let csr = CheckedCsr::from_pem(&csr).unwrap();

    let issued = authority
        .issue_runtime(&csr, subject(), NOW, RUNTIME_TTL_MS)
        .unwrap();

    let der = certificate::certificates_in(&issued.pem).unwrap().remove(0);
    let leaf = Leaf::parse(&der).unwrap();
    assert_eq!(leaf.spki, key.subject_public_key_info());
    let peer = leaf.as_runtime(authority.install()).unwrap();
    assert_eq!((peer.tenant, peer.runtime), subject());
    assert_eq!(peer.serial, issued.serial);
    assert_eq!(
        (peer.not_before, peer.not_after),
        (issued.not_before, issued.not_after)
    );
    assert_eq!(leaf.as_kernel(), Err(CertificateFault::WrongRole));
    let (_, x509) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
    assert!(!x509.is_ca());
    let names = x509.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
    let usage = x509.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.digital_signature() && !usage.value.key_cert_sign());
    let purposes = x509.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.client_auth && !purposes.server_auth);
}

#[test]
fn a_certificate_begins_five_minutes_early_and_ends_with_the_root_at_the_latest() {
    let (_dir, authority) = authority();
    let csr = CertificateParams::default()
        .serialize_request(&new_key().unwrap())
        .unwrap();
    let csr = CheckedCsr::from_pem(&csr.pem().unwrap()).unwrap();
    let day = authority
        .issue_runtime(&csr, subject(), NOW, RUNTIME_TTL_MS)
        .unwrap();
    assert_eq!(day.not_before, Timestamp::from_millis(1_795_325_428_000));
    assert_eq!(day.not_after, Timestamp::from_millis(1_795_412_128_000));
    let long = authority
        .issue_runtime(&csr, subject(), NOW, 2 * ROOT_TTL_MS)
        .unwrap();
    assert_eq!(long.not_after, authority.root_not_after);
    assert_ne!(day.serial, long.serial);
    assert_eq!(day.serial.len(), 32);
}

#[test]
fn the_kernels_certificate_has_its_name_and_its_addresses() {
    let (_dir, authority) = authority();
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let kernel = authority.issue_kernel(&names, NOW).unwrap();
    let leaf = Leaf::parse(&kernel.leaf).unwrap();
    assert_eq!(leaf.as_kernel(), Ok(authority.install()));
    assert_eq!(
        leaf.as_runtime(authority.install()),
        Err(CertificateFault::WrongRole)
    );
    let (_, x509) = x509_parser::certificate::X509Certificate::from_der(&kernel.leaf).unwrap();
    let names = x509.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 4);
    let wrong = authority.issue_kernel(&["no name".to_owned()], NOW);
    assert!(matches!(wrong, Err(AuthorityError::Name { .. })));
}

#[test]
fn debug_shows_no_key() {
    let (dir, authority) = authority();
    let key = fs::read_to_string(dir.path().join(KEY_FILE)).unwrap();
    let shown = format!("{authority:?}");
    assert!(shown.contains("key: …"), "{shown}");
    for line in key.lines() {
        assert!(!shown.contains(line), "{shown}");
    }
}
