//! The reference in `docs/config.md` is what the code says.

use std::path::Path;

const BEGIN: &str = "<!-- reference: made from the code -->\n";
const END: &str = "<!-- end of the reference -->\n";

#[test]
fn the_reference_in_the_documentation_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the start of the reference");
    let (written, after) = rest.split_once(END).expect("the end of the reference");
    let made = format!("\n{}\n", russet_pipeline::reference());
    if std::env::var_os("RUSSET_UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        written, made,
        "run `RUSSET_UPDATE_DOCS=1 cargo test -p russet-pipeline --test docs`"
    );
}
