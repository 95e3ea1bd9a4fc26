//! seccomp: the system calls that a signer makes after it has started. Any other one kills the process.

use crate::SandboxError;

/// Everything a started signer does: talk on sockets it has, read and write files that Landlock allows, wait, sleep,
/// get memory that cannot be executed, end. No socket, connect, bind, clone, fork, exec, ptrace, mount, memfd or
/// io_uring is on the list.
#[cfg(target_os = "linux")]
const ALLOWED: &[i64] = &[
    // Sockets that are open already, and pipes to the log.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_ppoll,
    // Files beneath the custody directory: vault generations, guard segments, budgets, audit.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_getdents64,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_fchmod,
    // Who owns a file that is about to be trusted.
    libc::SYS_geteuid,
    // Time and waiting.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // Memory of the allocator; `mmap` and `mprotect` are below, because they must not make code.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_getrandom,
    // Signals and ends.
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];

#[cfg(target_os = "linux")]
pub(crate) fn close() -> Result<bool, SandboxError> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch, apply_filter_all_threads,
    };

    fn told<E: std::fmt::Display>(error: E) -> SandboxError {
        SandboxError::Calls(error.to_string())
    }

    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let executable = u64::try_from(libc::PROT_EXEC).unwrap_or(4);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let not_executable =
            SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(executable), 0).map_err(told)?;
        rules.insert(call, vec![SeccompRule::new(vec![not_executable]).map_err(told)?]);
    }
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(told)?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, machine).map_err(told)?;
    let program = BpfProgram::try_from(filter).map_err(told)?;
    apply_filter_all_threads(&program).map_err(told)?;
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn close() -> Result<bool, SandboxError> {
    Ok(false)
}
