import Glibc
import Logging
import Ring

/// The program `filestored` behind its arguments. Returns the exit code: 0 done, 1 the node could not start or failed, 2 the
/// settings are wrong.
package func runNode(config: String?, flags: [(Setting, String)], checkOnly: Bool) -> Int32 {
  Allocator.configure()
  let configuration: Configuration
  do throws(ConfigurationRefusal) { configuration = try readConfiguration(config, flags) } catch {
    complain(error.lines)
    return 2
  }
  do throws(StartRefusal) {
    if checkOnly {
      try Boot.check(configuration)
      print(configuration.text, terminator: "")
      return 0
    }
    try run(configuration)
  } catch {
    // With its log on standard error the reason stands there already.
    if checkOnly || configuration.log.file != nil { complain([error.description]) }
    return 1
  }
}

private func readConfiguration(
  _ file: String?, _ flags: [(Setting, String)]
) throws(ConfigurationRefusal) -> Configuration {
  var raw = RawSettings()
  let variables = environmentVariables()
  if let file { try raw.readFile(file) }
  raw.readEnvironment(variables)
  for (setting, text) in flags { raw.readFlag(setting, text) }
  if file == nil, raw.values.isEmpty, raw.refusals.isEmpty {
    throw ConfigurationRefusal("name a configuration file: filestored --config FILE (`fscluster init` writes one)")
  }
  return try Configuration(raw)
}

private func run(_ configuration: Configuration) throws(StartRefusal) -> Never {
  let log = try makeLog(configuration.log)
  let server: Server
  do throws(StartRefusal) { server = try Boot.start(configuration, log: log) } catch {
    log.error("does not start", metadata: ["reason": "\(error)"])
    throw error
  }
  let code = serve(server, configuration, log)
  // The kernel may still use buffers of sockets that did not end in time: nothing is taken down before the process is.
  withExtendedLifetime(server) { exit(code) }
}

private func serve(_ server: Server, _ configuration: Configuration, _ log: Logger) -> Int32 {
  do throws(StartRefusal) { return try server.run() } catch {
    log.error("does not start", metadata: ["reason": "\(error)"])
    if configuration.log.file != nil { complain([error.description]) }
    return 1
  }
}

private func makeLog(_ settings: Configuration.LogSettings) throws(StartRefusal) -> Logger {
  var descriptor: Int32 = 2
  if let path = settings.file {
    do throws(SystemError) {
      let file = try File(path, [.create, .append])
      descriptor = dup(file.descriptor)
    } catch { throw StartRefusal("log: \(error)") }
  }
  return Logger(label: "filestored") { _ in LineLog(descriptor: descriptor, level: settings.level.level) }
}

private func complain(_ lines: [String]) {
  for line in lines {
    var text = "filestored: \(line)\n"
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
  }
}

/// The environment of the process.
private func environmentVariables() -> [(name: String, value: String)] {
  guard let text = try? readAll("/proc/self/environ") else { return [] }
  return text.split(separator: 0).compactMap { entry in
    guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { return nil }
    let name = String(decoding: entry[..<equals], as: UTF8.self)
    return (name, String(decoding: entry[entry.index(after: equals)...], as: UTF8.self))
  }
}

/// A file of /proc, which has no size: read until nothing comes.
private func readAll(_ path: String) throws(SystemError) -> [UInt8] {
  let file = try File(path, .read)
  var bytes: [UInt8] = []
  var part = [UInt8](repeating: 0, count: 64 << 10)
  while true {
    let count = part.withUnsafeMutableBytes { Glibc.read(file.descriptor, $0.baseAddress, $0.count) }
    guard count > 0 else { return bytes }
    bytes.append(contentsOf: part[..<count])
  }
}
