//! Tests of the words of the contract.

use super::*;

#[test]
fn every_word_is_read_back_as_it_is_written() {
    for word in RuntimeStatus::ALL {
        assert_eq!(word.as_str().parse(), Ok(*word));
        assert_eq!(serde_json::to_string(word).unwrap(), format!("\"{word}\""));
    }
    assert_eq!("azure_ad".parse(), Ok(ProviderKind::AzureAd));
    assert_eq!("on_prem".parse(), Ok(DeploymentMode::OnPrem));
}

#[test]
fn the_numbers_of_enums_in_bincode_do_not_change() {
    // A reordered enum would change what is in every sled value and on every wire.
    let number = |bytes: Vec<u8>| bytes[1];
    for (index, mode) in Mode::ALL.iter().enumerate() {
        assert_eq!(
            usize::from(number(crate::codec::encode(mode).unwrap())),
            index
        );
    }
    assert_eq!(
        number(crate::codec::encode(&RuntimeStatus::Revoked).unwrap()),
        3
    );
    assert_eq!(number(crate::codec::encode(&Limit::Unlimited).unwrap()), 2);
    assert_eq!(number(crate::codec::encode(&ActorType::Agent).unwrap()), 3);
}

#[test]
fn a_feature_is_a_dotted_key_and_perhaps_one_resource() {
    let feature = Feature::parse("report_export:annual").unwrap();
    assert_eq!(feature.key(), "report_export");
    assert_eq!(feature.resource(), Some("annual"));
    assert_eq!(feature.to_string(), "report_export:annual");
    for bad in [
        "",
        ".",
        "a..b",
        "a b",
        "a:",
        "a:b:c",
        ":x",
        "é",
        &"x".repeat(129),
    ] {
        assert!(Feature::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_window_is_a_calendar_word_or_a_duration_from_first_use() {
    for (text, written) in [
        ("month", "month"),
        ("P7D", "P1W"),
        ("PT48H", "P2D"),
        ("PT90M", "PT90M"),
    ] {
        assert_eq!(text.parse::<TimeWindow>().unwrap().to_string(), written);
    }
    for bad in [
        "",
        "P",
        "PT",
        "P1M",
        "P1Y",
        "PT0M",
        "P-1D",
        "P1.5D",
        "P99999999D",
        "é",
    ] {
        assert!(bad.parse::<TimeWindow>().is_err(), "{bad:?}");
    }
}
