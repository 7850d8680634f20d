import ArgumentParser
import Glibc
import HsafaClient
import JSON

struct DeviceEnroll: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enroll",
        abstract: "Enrol this machine as a device.",
        discussion: """
            Makes a key (once; the file is device.key in the state folder, readable by you alone), and proves it to the gateway with the \
            token. Asking again with the same state folder is the same device, so a lost answer costs nothing.

              hsafa device enroll --token hse_… --name laptop
              hsafa device enroll --token hse_… --url http://10.0.0.5:3000 --audience https://gateway.example.com
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var state: DeviceStateOptions

    @Option(help: "The enrolment token, hse_….")
    var token: String

    @Option(help: "The gateway's public URL, if it is not --url: it is part of what the device signs.")
    var audience: String?

    @Option(help: "How people call this device. Default: the host name.")
    var name: String?

    @Option(help: "The device's lasting name within the tenant. Default: the name and a part of the public key.")
    var deviceKey: String?

    @Option(help: "Tell the gateway of these tools already.", completion: .file(extensions: ["json"]))
    var tools: String?

    @Flag(help: "Print the gateway's answer.")
    var json = false

    func run() async throws {
        let token: EnrollmentToken
        do { token = try EnrollmentToken(self.token) } catch { throw ValidationError("\(error)") }
        let tools = try tools.map { try ToolFile(path: $0).tools.map(\.declaration) }
        let folder = DeviceState(directory: state.state)
        let url = try connection.resolve().url
        let key = try folder.loadOrMakeKey()
        let displayName = name ?? Self.hostName()
        let deviceKey = try deviceKey ?? folder.loadRecord()?.deviceKey ?? Self.defaultKey(displayName, key)
        let enrolled = try await connection.withClient(sendsKey: false) { client in
            try await client.devices.enroll(
                token: token, audience: audience ?? client.baseURL, key: key, deviceKey: deviceKey, displayName: displayName,
                platform: Self.platform(), tools: tools)
        }
        try folder.save(.init(deviceId: enrolled.deviceId, url: url, audience: enrolled.audience, deviceKey: deviceKey))
        if json { return Terminal.output.json(enrolled.json.bytes) }
        Terminal.output.line("enrolled as \(enrolled.deviceId) (\(deviceKey)), status \(enrolled.status)")
        Terminal.output.line(
            enrolled.status == "active"
                ? "Next: hsafa device connect --state \(state.state) --tools tools.json" : "It may connect as soon as somebody approves it."
        )
    }

    /// Visible ASCII, as device keys must be.
    private static func defaultKey(_ name: String, _ key: DeviceKey) -> String {
        let visible = name.unicodeScalars.map { $0.value > 0x20 && $0.value < 0x7F ? Character($0) : "-" }
        return "\(String(visible.prefix(100)))-\(key.publicKey.prefix(8))"
    }

    private static func hostName() -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let status = buffer.withUnsafeMutableBytes { bytes in
            bytes.assumingMemoryBound(to: CChar.self).baseAddress.map { gethostname($0, bytes.count - 1) }
        }
        let name = status == 0 ? String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self) : ""
        return name.isEmpty ? "device" : name
    }

    private static func platform() -> String {
        #if os(Linux)
            let system = "linux"
        #else
            let system = "other"
        #endif
        #if arch(x86_64)
            return "\(system)/x86_64"
        #elseif arch(arm64)
            return "\(system)/arm64"
        #else
            return system
        #endif
    }
}
