import Foundation

/// A program of the system that a measurement needs.
struct Program {
  let path: String

  init(path: String) { self.path = path }

  init(_ name: String, package: String) throws(BenchError) {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":") + ["/usr/bin", "/usr/sbin"]
    let paths = folders.map { "\($0)/\(name)" }
    guard let path = paths.first(where: FileManager.default.isExecutableFile) else {
      throw .missing(name, package: package)
    }
    self.path = path
  }

  /// Runs it to its end; what it wrote to standard output.
  func output(_ arguments: [String]) throws(BenchError) -> Data {
    let pipe = Pipe()
    let process = try start(arguments, output: pipe)
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw .failed("\(path) ended with \(process.terminationStatus)") }
    return data
  }

  private func start(_ arguments: [String], output: Pipe) throws(BenchError) -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardOutput = output
    do { try process.run() } catch { throw .failed("\(path) cannot be started: \(error.localizedDescription)") }
    return process
  }

  /// Starts it beside us. It ends with us, however we end (setpriv of util-linux, which Debian always has).
  func background(_ arguments: [String]) throws(BenchError) -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
    process.arguments = ["--pdeathsig", "KILL", path] + arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    do { try process.run() } catch { throw .failed("\(path) cannot be started: \(error.localizedDescription)") }
    return process
  }
}
