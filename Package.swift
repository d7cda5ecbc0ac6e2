// swift-tools-version: 6.3
import PackageDescription

/// With FILESTORE_FUZZ in the environment, which Tests/Fuzz/run sets, the package is the fuzzers and what they fuzz, built so
/// that it tells the fuzzer which way it went.
let isFuzzing = Context.environment["FILESTORE_FUZZ"] != nil
/// With FILESTORE_THREADS in the environment the package is what starts threads, and its tests: the pure targets start none.
let hasThreadsOnly = Context.environment["FILESTORE_THREADS"] != nil

let strict: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
  ] + (isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing"])] : [])

/// A target of ours: Swift 6 mode, warnings as errors. The list of imports is the architecture (Docs/Architecture.md).
func target(
  _ name: String, _ dependencies: [Target.Dependency], _ more: [SwiftSetting] = [], path: String? = nil
) -> Target {
  .target(name: name, dependencies: dependencies, path: path, swiftSettings: strict + more)
}

/// For what every request passes and no package of others can depend on: overlapping accesses are looked for while running in
/// debug builds, by all tests and by sanitizers, and not in release (Docs/Decisions/0006).
let hot: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

func program(
  _ name: String, _ dependencies: [Target.Dependency], path: String? = nil, exclude: [String] = []
) -> Target {
  .executableTarget(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
  name: "FileStore",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
  ],
  targets: [
    // ground
    .target(name: "CLinux"),
    .systemLibrary(name: "CURing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
    .systemLibrary(name: "CNuma", pkgConfig: "numa", providers: [.apt(["libnuma-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
    target("Primitives", ["CLinux"]),

    // pure
    target("Raft", ["Primitives", deque], hot),
    target("Journal", ["Primitives", "Raft", deque], hot),
    target("Store", ["Primitives"]),
    target("Tables", ["Primitives", "Store"]),
    target("Checkers", ["Primitives"]),

    // compose
    target("Node", ["Primitives", "Raft", "Journal", "Store", "Tables", deque], hot),

    // edge
    target("Ring", ["Primitives", "CLinux", "CURing", "CNuma"]),
    target("Transport", ["Primitives", "CLinux", "COpenSSL", "CNghttp2"]),
    target("Sealing", ["Primitives", "COpenSSL"]),

    // assemble
    target(
      "Server",
      ["Primitives", "Node", "Journal", "Store", "Tables", "Ring", "Transport", "Sealing", deque, yams, logging], hot
    ),
    target("FileStoreClient", ["Primitives", "Tables", "Ring", "Transport"]),
    target("Simulator", ["Primitives", "Node", "Raft", "Journal", "Store", "Tables", "Checkers"]),

    // run
    program("filestored", ["Server", argumentParser]),
    program(
      "fscluster",
      [
        "FileStoreClient", "Node", "Journal", "Raft", "Store", "Tables", "Ring", "Transport", "Sealing", "Primitives",
        "CLinux", argumentParser, yams,
      ]),
    program(
      "fsbench",
      [
        "Server", "FileStoreClient", "Node", "Raft", "Journal", "Store", "Tables", "Ring", "Transport", "Primitives",
        argumentParser,
      ]),
    program("simulate", ["Simulator", argumentParser]),
    program(
      "ChaosTests", ["FileStoreClient", "Checkers", "Primitives", "CLinux", argumentParser], path: "ChaosTests",
      exclude: ["run"]),
    .target(name: "BudgetMeter", path: "Tests/Budgets/Meter"),
    program(
      "budgets",
      [
        "Server", "Node", "Raft", "Journal", "Store", "Tables", "Ring", "Transport", "Primitives", "CLinux",
        "BudgetMeter", argumentParser, logging,
      ], path: "Tests/Budgets/Program"),

    // tests
    target("TestScale", [], path: "Tests/TestScale"),
    target(
      "TestNodes",
      ["Server", "FileStoreClient", "Node", "Raft", "Journal", "Store", "Ring", "Transport", "Primitives", logging],
      path: "Tests/TestNodes"),
    tests("PrimitivesTests", ["Primitives"]),
    .testTarget(
      name: "RaftTests", dependencies: ["Raft", "Primitives", "TestScale"], exclude: ["Scripts"], swiftSettings: strict),
    tests("JournalTests", ["Journal", "Raft", "Primitives", "TestScale"]),
    tests("StoreTests", ["Store", "Primitives", "TestScale"]),
    tests("TablesTests", ["Tables", "Store", "Primitives", "TestScale"]),
    tests("CheckersTests", ["Checkers", "Primitives"]),
    tests("NodeTests", ["Node", "Raft", "Journal", "Store", "Tables", "Primitives", "TestScale"]),
    tests("RingTests", ["Ring", "Primitives"]),
    tests("TransportTests", ["Transport", "Primitives"]),
    tests("SealingTests", ["Sealing", "Primitives"]),
    tests(
      "ServerTests",
      [
        "Server", "Node", "Journal", "Store", "Tables", "Transport", "Sealing", "Primitives", "Ring", "FileStoreClient",
        "TestNodes", "TestScale",
      ]),
    tests("FileStoreClientTests", ["FileStoreClient", "Transport", "Primitives"]),
    tests("fsclusterTests", ["fscluster", "Server", "FileStoreClient", "Transport", "Primitives", "TestNodes"]),
    tests(
      "fsbenchTests",
      ["fsbench", "Server", "FileStoreClient", "Ring", "Transport", "Primitives", "TestNodes", "TestScale"]),
    tests("SimulatorTests", ["Simulator", "Checkers", "Primitives"]),
  ]
)

if hasThreadsOnly {
  let others = [
    "Checkers", "Simulator", "fsbench", "simulate", "ChaosTests", "BudgetMeter", "budgets", "PrimitivesTests",
    "RaftTests", "JournalTests", "StoreTests", "TablesTests", "CheckersTests", "NodeTests", "SealingTests",
    "fsbenchTests", "SimulatorTests",
  ]
  package.targets.removeAll { others.contains($0.name) }
}
if isFuzzing {
  package.targets.removeAll { $0.type == .executable || $0.type == .test }
  package.targets += [
    .systemLibrary(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
    // What fscluster parses, without the program around it.
    .target(
      name: "fscluster", dependencies: ["Tables", "Primitives"],
      sources: [
        "Import/CSV.swift", "Import/ImportRow.swift", "Import/RecordReader.swift", "Import/TableShape.swift",
        "Shared/CommandError.swift",
      ], swiftSettings: strict),
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        "CFuzzer", "fscluster", "Server", "Node", "Journal", "Raft", "Store", "Tables", "Transport", "Primitives",
      ],
      path: "Tests/Fuzz", exclude: ["CFuzzer", "Regressions", "Seeds", "run"], swiftSettings: strict,
      linkerSettings: [.unsafeFlags(["-sanitize=address"])]),
  ]
}
