import Domain
import JSON

/// Fields that several device operations take.
extension JSONObjectReader {
    mutating func optionalLabels() throws(JSONViolation) -> [String: String]? {
        guard let node = try optionalNode("labels") else { return nil }
        return try Labels.read(node, at: pointer(to: "labels"))
    }

    /// Globs over tool names.
    mutating func optionalAllowedTools() throws(JSONViolation) -> [String]? {
        try optionalStrings("allowedTools", maxCount: Limits.maxDeviceTools, maxBytes: 256)
    }

    mutating func optionalDisplayName() throws(JSONViolation) -> String? { try optionalString("displayName", maxBytes: 256) }
    mutating func optionalPlatform() throws(JSONViolation) -> String? { try optionalString("platform", maxBytes: 256) }

    mutating func deviceKey() throws(JSONViolation) -> String {
        guard let key = try optionalDeviceKey() else { throw JSONViolation(pointer: pointer(to: "deviceKey"), message: "is required") }
        return key
    }

    mutating func optionalDeviceKey() throws(JSONViolation) -> String? {
        guard let key = try optionalString("deviceKey", maxBytes: 1024) else { return nil }
        guard DeviceProof.isValidDeviceKey(key) else {
            throw JSONViolation(pointer: pointer(to: "deviceKey"), message: "must be 1 to 128 visible ASCII characters")
        }
        return key
    }
}
