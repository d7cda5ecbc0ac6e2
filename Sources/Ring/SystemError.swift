import Glibc

/// A system call failed. `errno` stops here: above the edge, this value is shown to people or tested by its cases.
package struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The call, as its manual page is named: `open`, `bind`.
  package let call: String
  /// What it was about: a path, an address.
  package let subject: String
  package let code: Int32

  package init(_ call: String, _ subject: String, code: Int32 = errno) {
    self.call = call
    self.subject = subject
    self.code = code
  }

  package var isMissing: Bool { code == ENOENT }
  package var exists: Bool { code == EEXIST }
  package var isFull: Bool { code == ENOSPC || code == EDQUOT }
  /// Another process holds the lock.
  package var isInUse: Bool { call == "lock" && (code == EAGAIN || code == EACCES) }
  package var isAddressInUse: Bool { code == EADDRINUSE }
  package var isAddressUnknown: Bool { code == EADDRNOTAVAIL }
  package var isForbidden: Bool { code == EACCES || code == EPERM }

  package var description: String {
    if isInUse { return "\(subject) is in use by another process" }
    return "\(subject): \(systemText(code)) (\(call))"
  }
}

/// What the system says about an errno: `No such file or directory`.
package func systemText(_ code: Int32) -> String {
  guard let text = strerror(code) else { return "error \(code)" }
  return String(cString: text)
}
