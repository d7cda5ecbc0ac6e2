import Primitives
import Yams

/// `DIR/cluster.yaml`: what the commands know of a cluster on this machine.
struct ClusterFile: Equatable, Codable {
  /// Shown to people; also part of every node's configuration.
  var name: String
  /// 128 random bits as 32 hex digits; in every certificate, token and data directory.
  var id: String
  /// Name to address, `n1` first.
  var nodes: [String: String]

  var nodeNames: [String] {
    nodes.keys.sorted { ($0.count, $0) < ($1.count, $1) }
  }

  /// The id as 16 bytes; `parse` and `init` have checked its digits.
  var idBytes: [UInt8] {
    let digits = id.compactMap(\.hexDigitValue)
    precondition(digits.count == 32, "a cluster id has 32 hex digits")
    return (0..<16).map { UInt8(digits[2 * $0] << 4 | digits[2 * $0 + 1]) }
  }

  static func checkName(_ name: String) throws(CommandError) {
    guard ClusterName.isValid(name) else {
      throw .usage("`\(name)` is no name of a cluster", next: "Use \(ClusterName.rule) (--name demo).")
    }
  }

  var yaml: String {
    var text = """
      # A FileStore cluster with nodes on this machine. Made by `fscluster init`, read by the other commands.
      name: "\(name)"
      id: "\(id)"
      nodes:

      """
    for node in nodeNames { text += "  \(node): \"\(nodes[node] ?? "")\"\n" }
    return text
  }

  /// Throws a text that says what is wrong with the file.
  static func parse(_ yaml: String) throws(CommandError) -> ClusterFile {
    let file: ClusterFile
    do {
      file = try YAMLDecoder().decode(ClusterFile.self, from: yaml)
    } catch {
      throw .usage("cluster.yaml cannot be read: \(error)", next: "Restore it from cluster's other copy or a backup.")
    }
    guard file.id.utf8.count == 32, file.id.allSatisfy(\.isHexDigit) else {
      throw .usage("cluster.yaml holds no cluster id of 32 hex digits")
    }
    return file
  }
}
