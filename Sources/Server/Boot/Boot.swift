import Glibc
import Journal
import Logging
import Node
import Primitives
import Ring
import Store
import Transport

/// What a server is put together from.
struct ServerParts {
  let configuration: Configuration
  let ring: Ring
  let log: Logger
  let node: Node
  let inbox: Inbox
  let clients: Clients
  let links: [Link]
  let logFiles: LogFiles
  let pageFile: PageFile
  let arrivals: PeerArrivals
  let signals: SignalReader
  let directory: DataDirectory
  let encryption: Encryption?
}

/// Who this node is, by its certificate.
struct NodeIdentity {
  let clusterID: String
  let cluster: [UInt8]
  /// Seconds since 1970.
  let expires: UInt64
}

/// From a configuration to a server, in the order in which refusing changes nothing: certificates, io_uring, whose data it
/// is; then the lock and recovery, which only read; then the start is counted.
package enum Boot {
  package static let version = "0.1.0"

  package static func start(
    _ configuration: Configuration, log: Logger, limits: EdgeLimits? = nil
  ) throws(StartRefusal) -> Server {
    let signals = try reading { () throws(SystemError) in try SignalReader() }
    let identity = try readIdentity(configuration)
    let contexts = try TLSContexts(configuration)
    let ring = try makeRing()
    let peers = try resolvePeers(configuration)
    let directory = try DataDirectory(path: configuration.data)
    let found = try directory.checkIdentity(
      cluster: identity.cluster, clusterID: identity.clusterID, node: configuration.node)
    _ = try Encryption(configuration.encryptionKeyFile, data: configuration.data, identity: found)
    let start = try directory.take(found)
    let boot = start.boot
    // Again, now that nobody else can change it.
    let encryption = try Encryption(configuration.encryptionKeyFile, data: configuration.data, identity: found)
    directory.sealer = encryption?.sealer
    log.info(
      "starts",
      metadata: [
        "version": "\(version)", "cluster": "\(configuration.cluster)", "node": "\(configuration.node)",
        "boot": "\(boot.number)", "data": "\(configuration.data)",
      ])
    warn(identity, configuration, log)
    let began = ring.now()
    let node = try open(configuration, identity, found, start, directory, now: began)
    if let lost = directory.lostKeyRefusal { throw lost }
    try directory.countStart()
    try encryption?.begin(epoch: node.durableEpoch, sequence: node.durableSequence)
    directory.clean()
    directory.endRecovery()
    log.info(
      "recovered",
      metadata: [
        "applied": "\(node.appliedIndex)", "milliseconds": "\((ring.now() - began).rawValue / 1_000_000)",
      ])
    if let encryption { log.info("encryption", metadata: encryption.metadata) }
    let budget = MemoryBudget(configuration)
    log.info("memory budget", metadata: budget.metadata(pages: node.pageTableEntries))
    var edge = EdgeLimits()
    budget.apply(to: &edge)
    let hello = Hello(
      cluster: identity.cluster, node: configuration.node, to: configuration.node, incarnation: found.incarnation,
      boot: boot.number, nonce: boot.nonce)
    return try assemble(
      configuration, identity, contexts, ring, peers, directory, encryption, node, hello, signals, log, limits ?? edge)
  }

  /// Everything that `start` checks before it changes something. For `--check`.
  package static func check(_ configuration: Configuration) throws(StartRefusal) {
    let identity = try readIdentity(configuration)
    _ = try TLSContexts(configuration)
    _ = try makeRing()
    _ = try resolvePeers(configuration)
    let directory = try DataDirectory(path: configuration.data)
    let found = try directory.checkIdentity(
      cluster: identity.cluster, clusterID: identity.clusterID, node: configuration.node)
    _ = try Encryption(configuration.encryptionKeyFile, data: configuration.data, identity: found)
  }

  // MARK: - Steps

  private static func makeRing() throws(StartRefusal) -> Ring {
    do throws(RingRefusal) { return try Ring(entries: 4096) } catch { throw StartRefusal("\(error)") }
  }

  private static func reading<T>(_ body: () throws(SystemError) -> T) throws(StartRefusal) -> T {
    do throws(SystemError) { return try body() } catch { throw StartRefusal("\(error)") }
  }

  private static func readIdentity(_ configuration: Configuration) throws(StartRefusal) -> NodeIdentity {
    let found: PeerIdentity
    do throws(TLSRefusal) { found = try certificateIdentity(.file(configuration.certificate)) } catch {
      throw StartRefusal("\(error)")
    }
    guard case .node(let cluster, let node, _, let expires) = found else {
      throw StartRefusal("\(configuration.certificate): this is no node's certificate (it has no filestore:// name)")
    }
    guard node == configuration.node else {
      throw StartRefusal(
        "\(configuration.certificate): the certificate is that of \(node), this is \(configuration.node)")
    }
    guard let bytes = bytes(hexadecimal: cluster), bytes.count == 16 else {
      throw StartRefusal("\(configuration.certificate): `\(cluster)` is no cluster id")
    }
    guard expires > wallTime() / 1_000_000_000 else {
      throw StartRefusal("\(configuration.certificate): the certificate has expired; make a new one")
    }
    return NodeIdentity(clusterID: cluster, cluster: bytes, expires: expires)
  }

  private static func warn(_ identity: NodeIdentity, _ configuration: Configuration, _ log: Logger) {
    let left = (identity.expires - min(identity.expires, wallTime() / 1_000_000_000)) / 86400
    if left < 30 { log.warning("this node's certificate expires soon", metadata: ["days": "\(left)"]) }
    if configuration.insecure { log.warning("insecure: plain text, and peers are not checked") }
    do throws(SystemError) {
      if try FileSystem.mode(configuration.key) & 0o077 != 0 {
        log.warning("the node's key can be read by others", metadata: ["file": "\(configuration.key)"])
      }
    } catch { log.warning("\(error)") }
  }

  private static func resolvePeers(
    _ configuration: Configuration
  ) throws(StartRefusal) -> [(node: NodeID, address: SocketAddress)] {
    var resolved: [(node: NodeID, address: SocketAddress)] = []
    do throws(SocketAddress.Refusal) {
      _ = try SocketAddress(configuration.address)
      for peer in configuration.peers where peer.node != configuration.node {
        resolved.append((peer.node, try SocketAddress(peer.address)))
      }
    } catch { throw StartRefusal("\(error)") }
    return resolved
  }

  private static func open(
    _ configuration: Configuration, _ identity: NodeIdentity, _ found: StoreIdentity, _ start: NumberedStart,
    _ directory: DataDirectory, now: Instant
  ) throws(StartRefusal) -> Node {
    var settings = NodeSettings(
      clusterName: configuration.cluster, clusterID: identity.clusterID,
      node: configuration.node, addresses: configuration.peers.map { ($0.node, $0.address) }, version: version,
      seed: Entropy.number())
    settings.scheme = configuration.scheme
    settings.raft.leases = configuration.leases
    settings.historyRetention = configuration.historyRetention
    settings.scrubEvery = configuration.scrubEvery
    let memoryBudget = MemoryBudget(configuration)
    memoryBudget.apply(to: &settings)
    let budget = DiskBudget(limit: configuration.diskLimit)
    var journalSettings = budget.journal
    memoryBudget.apply(to: &journalSettings)
    settings.limits.checkpointLogBytes = min(settings.limits.checkpointLogBytes, budget.logBytesMax / 4)
    settings.limits.diskBytesMax = configuration.diskLimit
    let frames = Int(configuration.memory) / Store.pageBytes
    var limits = StoreLimits(framesMax: frames, pagesMax: budget.pages)
    let memory = ResidentMemory(byteCount: frames * Store.pageBytes)
    limits.memory = FrameMemory(
      allocate: { count, _ in memory.take(count) }, deallocate: { _, _ in },
      nearness: { MemoryNodes.nearness(of: memory.handedOutBytes, to: MemoryNodes.current) })
    limits.framesAtStart = Int(Configuration.memoryMin) / Store.pageBytes
    do throws(OpenRefusal) {
      return try Node.open(
        settings, identity: found, boot: start.boot, opened: start.opened, files: directory, storeLimits: limits,
        journalSettings: journalSettings, now: now)
    } catch { throw directory.refusal(error) }
  }

  private static func assemble(
    _ configuration: Configuration, _ identity: NodeIdentity, _ contexts: TLSContexts, _ ring: Ring,
    _ peers: [(node: NodeID, address: SocketAddress)], _ directory: DataDirectory, _ encryption: Encryption?,
    _ node: Node, _ hello: Hello, _ signals: SignalReader, _ log: Logger, _ limits: EdgeLimits
  ) throws(StartRefusal) -> Server {
    let inbox = Inbox()
    let scratch = TransportScratch()
    let arrivals = PeerArrivals(
      hello: hello, clusterID: identity.clusterID, peers: peers.map(\.node), node: node, inbox: inbox)
    let answers = Answers(
      prefix: "\(configuration.node)-\(hello.boot)",
      addresses: configuration.peers.map { ("\($0.node)", "\(configuration.scheme)://\($0.address)") })
    let verifier: TokenVerifier
    do throws(TLSRefusal) {
      verifier = try TokenVerifier(
        authority: .file(configuration.ca + "/clients.pem"), cluster: identity.clusterID)
    } catch { throw StartRefusal("\(error)") }
    let clients = Clients(
      ring: ring, node: node, inbox: inbox, log: log, limits: limits, context: contexts.server, scratch: scratch,
      answers: answers, authenticator: Authenticator(verifier, node: node), arrivals: arrivals)
    let linkSettings = LinkSettings(
      context: contexts.client, scratch: scratch, clusterID: identity.clusterID, hello: hello,
      bytesMax: limits.linkBytesMax)
    let links = peers.enumerated().map { index, peer in
      Link(
        peer.node, index: index, address: peer.address, ring: ring, inbox: inbox, log: log, settings: linkSettings)
    }
    let (logFiles, pageFile) = try reading { () throws(SystemError) in
      (
        try LogFiles(directory: directory.logPath, ring: ring, sealer: encryption?.sealer),
        try PageFile(path: directory.pagesPath, ring: ring, sealer: encryption?.sealer)
      )
    }
    return Server(
      ServerParts(
        configuration: configuration, ring: ring, log: log, node: node, inbox: inbox, clients: clients, links: links,
        logFiles: logFiles, pageFile: pageFile, arrivals: arrivals, signals: signals, directory: directory,
        encryption: encryption))
  }
}

/// The two ends of TLS; none with `insecure`. The files are checked in any case.
struct TLSContexts {
  let server: TLSContext?
  let client: TLSContext?

  init(_ configuration: Configuration) throws(StartRefusal) {
    let certificate = PEMSource.file(configuration.certificate)
    let key = PEMSource.file(configuration.key)
    let nodes = PEMSource.file(configuration.ca + "/nodes.pem")
    do throws(TLSRefusal) {
      let server = try TLSContext(
        server: TLSContext.ServerSettings(
          certificate: certificate, key: key, nodeAuthority: nodes,
          clientAuthority: .file(configuration.ca + "/clients.pem")))
      let client = try TLSContext(
        client: TLSContext.ClientSettings(
          nodeAuthority: nodes, certificate: certificate, key: key, speaks: .peer))
      self.server = configuration.insecure ? nil : server
      self.client = configuration.insecure ? nil : client
    } catch { throw StartRefusal("\(error)") }
  }
}
