//! The log: filters, pages, plans.

#[test]
#[ignore]
fn print() {
    std::fs::write("/tmp/wt/older.sql", countersign::store::look_log::OLDER).unwrap();
    std::fs::write("/tmp/wt/newer.sql", countersign::store::look_log::NEWER).unwrap();
}
