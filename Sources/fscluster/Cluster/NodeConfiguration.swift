import Yams

/// A node's `config.yaml` as `init` writes it. Paths are relative to the file, so that the directory may be moved.
struct NodeConfiguration {
  var cluster: String
  var node: String
  var nodes: [(name: String, address: String)]
  var insecure: Bool

  var yaml: String {
    var text = """
      # Settings of the node \(node); `filestored --check --config` on this file prints all of them with their defaults.
      cluster: "\(cluster)"
      node: \(node)
      address: "\(nodes.first { $0.name == node }?.address ?? "")"
      data: data
      ca: ../ca
      certificate: node.pem
      key: node.key
      peers:

      """
    for peer in nodes { text += "  \(peer.name): \"\(peer.address)\"\n" }
    text += "cores: 1\nlanes: 1\nmemory: 256MiB\n"
    if insecure { text += "insecure: true\n" }
    return text
  }

  /// The paths of a configuration file that this program needs, as they are written.
  static func paths(_ yaml: String) -> (data: String?, encryptionKeyFile: String?) {
    struct Part: Codable {
      var data: String?
      var encryptionKeyFile: String?
      enum CodingKeys: String, CodingKey {
        case data
        case encryptionKeyFile = "encryption-key-file"
      }
    }
    let part = try? YAMLDecoder().decode(Part.self, from: yaml)
    return (part?.data, part?.encryptionKeyFile.flatMap { $0 == "none" ? nil : $0 })
  }

  /// Whether the node of this file speaks plain text. Other settings are filestored's business.
  static func isInsecure(_ yaml: String) -> Bool {
    struct Part: Codable { var insecure: Bool? }
    return (try? YAMLDecoder().decode(Part.self, from: yaml))?.insecure ?? false
  }
}
