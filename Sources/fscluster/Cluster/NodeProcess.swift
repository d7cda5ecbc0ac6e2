import Foundation

/// A node's process: the pid file, what `/proc` says about it, start and end.
struct NodeProcess {
  let configuration: String
  let pidFile: String
  let log: String

  /// The process of this node, or nil. A pid file may be older than the machine's last boot, so the number counts only
  /// when that process runs with this node's configuration file.
  func running() -> Int32? {
    guard let text = try? String(contentsOfFile: pidFile, encoding: .utf8),
      let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)), pid > 1, runs(pid)
    else { return nil }
    return pid
  }

  private func runs(_ pid: Int32) -> Bool {
    NodeProcess.isAlive(pid) && NodeProcess.commandLine(pid).contains(configuration)
  }

  /// The arguments of a process; empty when there is none, or when it is not ours to see.
  static func commandLine(_ pid: Int32) -> [String] {
    guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return [] }
    return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  /// A process that has ended but was not waited for by its parent does not count.
  static func isAlive(_ pid: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let name = text.lastIndex(of: ")")
    else { return false }
    let state = text[text.index(after: name)...].split(separator: " ").first
    return state != "Z" && state != "X"
  }

  /// Starts `filestored` in a session of its own; its output goes to the end of the log file. It outlives this command.
  func start(program: String) throws(CommandError) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    let newSession: Int16 = 0x80  // POSIX_SPAWN_SETSID
    posix_spawnattr_setflags(&attributes, newSession)

    keepDescriptorsToOurselves()
    let pid = try spawn(program, ["filestored", "--config", configuration], &actions, &attributes)
    do {
      try Data("\(pid)\n".utf8).write(to: URL(fileURLWithPath: pidFile), options: .atomic)
    } catch {
      kill(pid, SIGTERM)
      throw .failed("\(pidFile) cannot be written: \(error.localizedDescription)")
    }
    return pid
  }

  /// A node must not hold open what this command was started with, such as a pipe to whoever waits for its end.
  private func keepDescriptorsToOurselves() {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
      if let descriptor = Int32(name), descriptor > 2 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }
  }

  private func spawn(
    _ program: String, _ arguments: [String], _ actions: inout posix_spawn_file_actions_t,
    _ attributes: inout posix_spawnattr_t
  ) throws(CommandError) -> Int32 {
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, program, &actions, &attributes, pointers, environ)
    guard code == 0 else {
      throw .failed("\(program) cannot be started: \(String(cString: strerror(code)))")
    }
    return pid
  }

  /// Waits until the process is gone, for at most `seconds`. True: it is gone. Reaps it when it is a child.
  static func awaitEnd(_ pid: Int32, seconds: Double) -> Bool {
    let end = Monotonic.now() + seconds
    while true {
      var status: Int32 = 0
      waitpid(pid, &status, WNOHANG)
      if !isAlive(pid) { return true }
      if Monotonic.now() >= end { return false }
      usleep(20_000)
    }
  }

  /// The last lines of the log, for a node that did not come up.
  func lastLines(_ count: Int = 5) -> [String] {
    guard let text = try? String(contentsOfFile: log, encoding: .utf8) else { return [] }
    return text.split(separator: "\n").suffix(count).map(String.init)
  }
}

/// Elapsed seconds by CLOCK_BOOTTIME, for waiting and for rates.
enum Monotonic {
  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
