import Glibc

/// The kernel gives us no io_uring. `description` names the remedy, exactly.
package struct RingRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Cause: Equatable, Sendable {
    /// ENOSYS: the kernel has none (older than 5.1, or built without it), or a container's filter hides it so.
    case absent
    /// EPERM or EACCES: forbidden by `kernel.io_uring_disabled` or by a container's seccomp filter.
    case forbidden
    /// ENOMEM: on kernels before 5.12 a ring counts against the limit of locked memory.
    case lockedMemory
    /// EMFILE or ENFILE: no descriptor left.
    case descriptors
    case other
  }

  package let code: Int32
  package init(code: Int32) { self.code = code }

  package var cause: Cause {
    switch code {
    case ENOSYS: .absent
    case EPERM, EACCES: .forbidden
    case ENOMEM: .lockedMemory
    case EMFILE, ENFILE: .descriptors
    default: .other
    }
  }

  package var description: String {
    "the kernel refuses io_uring (\(systemText(code))): \(remedy)"
  }

  /// What to change, ready to be copied.
  package var remedy: String {
    switch cause {
    case .absent:
      "use Linux 6.1 or newer; in a container whose seccomp filter hides io_uring, start it with "
        + "--security-opt seccomp=unconfined, or a profile that allows io_uring_setup, io_uring_enter, io_uring_register"
    case .forbidden:
      "run `sysctl -w kernel.io_uring_disabled=0` on the host (2 forbids it to all, 1 to all but the group "
        + "kernel.io_uring_group); in a container also start it with --security-opt seccomp=unconfined, or a profile "
        + "that allows io_uring_setup, io_uring_enter, io_uring_register"
    case .lockedMemory:
      "raise the limit of locked memory: `ulimit -l unlimited`, LimitMEMLOCK=infinity in the systemd unit, "
        + "or --ulimit memlock=-1 for the container; or give the machine more free memory"
    case .descriptors:
      "raise the limit of open files: `ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit"
    case .other:
      "use Linux 6.1 or newer"
    }
  }
}
