//! Every rule of the contract, for the file log on a real disk and for the log in memory.

mod file {
    use crate::folder::FileSubject;

    maitred_engine::log_conformance!(FileSubject::boxed());
}

mod memory {
    use maitred_engine::conformance::log::{LOG, Subject};
    use maitred_engine::log::Log;
    use maitred_storage::log_memory::MemoryLog;

    struct MemorySubject(MemoryLog);

    impl Subject for MemorySubject {
        fn open(&mut self) -> Box<dyn Log> {
            Box::new(self.0.another_writer())
        }
    }

    maitred_engine::log_conformance!(Box::new(MemorySubject(MemoryLog::new(LOG))) as Box<dyn Subject>);

    #[test]
    fn two_writers_share_one_history() {
        let log = MemoryLog::new(LOG);
        let other = log.another_writer();
        maitred_engine::conformance::log::rules::two_writers_share_one_history(
            Box::new(log),
            Box::new(other),
        );
    }
}
