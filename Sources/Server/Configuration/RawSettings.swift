import Ring
import Yams

/// What the three sources say, before anybody asks whether it makes sense. A later source wins, setting by setting.
package struct RawSettings: Sendable {
  package private(set) var values: [Setting: RawSetting] = [:]
  package private(set) var refusals: [String] = []

  package init() {}

  package subscript(setting: Setting) -> RawSetting? { values[setting] }

  /// Reads the YAML file: one mapping of known settings.
  package mutating func readFile(_ path: String) throws(ConfigurationRefusal) {
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try FileSystem.read(path, limit: 1 << 20) } catch {
      throw ConfigurationRefusal("\(error)")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ConfigurationRefusal("\(path): the file is not UTF-8")
    }
    try readYAML(text, path: path)
  }

  package mutating func readYAML(_ text: String, path: String) throws(ConfigurationRefusal) {
    let root: Yams.Node?
    do { root = try compose(yaml: text) } catch { throw ConfigurationRefusal(explain(error, path)) }
    guard let root else { throw ConfigurationRefusal("\(path): the file is empty") }
    guard case .mapping(let mapping) = root else {
      throw ConfigurationRefusal("\(path):\(line(of: root)): expected `setting: value` lines")
    }
    for (key, value) in mapping { read(key, value, path) }
  }

  private mutating func read(_ key: Yams.Node, _ value: Yams.Node, _ path: String) {
    let place = "\(path):\(line(of: key))"
    let name = key.scalar?.string ?? "?"
    guard let setting = Setting(rawValue: name) else {
      refusals.append("\(place): there is no setting `\(name)`\(nearest(to: name))")
      return
    }
    switch value {
    case .scalar(let scalar): keep(setting, .text(scalar.string), .file(path, line: line(of: key)))
    case .mapping(let mapping): keepMapping(setting, mapping, path, place)
    default: refusals.append("\(place): `\(name)` takes a value, not a list")
    }
  }

  private mutating func keepMapping(_ setting: Setting, _ mapping: Yams.Node.Mapping, _ path: String, _ place: String) {
    var fields: [RawValue.Field] = []
    for (key, value) in mapping {
      guard let name = key.scalar?.string, let text = value.scalar?.string else {
        refusals.append("\(path):\(line(of: key)): `\(setting.rawValue)` holds `name: value` lines only")
        return
      }
      fields.append(RawValue.Field(name: name, text: text, line: line(of: key)))
    }
    guard setting == .peers || setting == .log else {
      refusals.append("\(place): `\(setting.rawValue)` takes one value")
      return
    }
    keep(setting, .mapping(fields), .file(path, line: Int(place.split(separator: ":").last ?? "0") ?? 0))
  }

  /// Variables that begin with `FILESTORED_`; one that names no setting is refused.
  package mutating func readEnvironment(_ variables: [(name: String, value: String)]) {
    for (name, value) in variables where name.hasPrefix("FILESTORED_") {
      guard let setting = Setting.allCases.first(where: { $0.environmentName == name }) else {
        refusals.append("environment \(name): there is no such setting")
        continue
      }
      keep(setting, .text(value), .environment(name))
    }
  }

  package mutating func readFlag(_ setting: Setting, _ text: String) {
    keep(setting, .text(text), .flag(setting.flagName))
  }

  private mutating func keep(_ setting: Setting, _ value: RawValue, _ source: SettingSource) {
    values[setting] = RawSetting(value: value, source: source)
  }
}

private func line(of node: Yams.Node) -> Int { node.mark?.line ?? 0 }

private func explain(_ error: any Error, _ path: String) -> String {
  guard let error = error as? YamlError else { return "\(path): \(error)" }
  switch error {
  case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
    .composer(_, let problem, let mark, _):
    return "\(path):\(mark.line): \(problem)"
  case .duplicatedKeysInMapping(let names, let context):
    return "\(path):\(context.mark.line): set twice: \(names.joined(separator: ", "))"
  default: return "\(path): \(error)"
  }
}

/// ` (did you mean …?)` when a known name differs in at most two letters.
private func nearest(to name: String) -> String {
  let candidates = Setting.allCases.map(\.rawValue).filter { editDistance($0, name) <= 2 }
  return candidates.first.map { "; did you mean `\($0)`?" } ?? ""
}

private func editDistance(_ a: String, _ b: String) -> Int {
  let a = Array(a.utf8)
  let b = Array(b.utf8.prefix(64))
  var row = Array(0...b.count)
  for i in 0..<a.count {
    var diagonal = row[0]
    row[0] = i + 1
    for j in 0..<b.count {
      let cost = a[i] == b[j] ? diagonal : diagonal + 1
      diagonal = row[j + 1]
      row[j + 1] = min(cost, row[j] + 1, diagonal + 1)
    }
  }
  return row[b.count]
}
