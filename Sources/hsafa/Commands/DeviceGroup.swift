import ArgumentParser

struct DeviceGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "Be a device: lend tools of this machine to agents.",
        discussion: """
            An administrator makes an enrolment token, the device enrols once with it and then connects whenever it likes. Its private key \
            never leaves the state folder.

              hsafa device token --label zone=demo --auto-approve          (with a key that has devices:write)
              hsafa device enroll --token hse_… --name laptop              (needs no key)
              hsafa device connect --tools tools.json                      (needs no key)
            """,
        subcommands: [DeviceToken.self, DeviceEnroll.self, DeviceConnect.self])
}

struct DeviceStateOptions: ParsableArguments {
    @Option(help: "The folder that holds the device's key and state.")
    var state = ".hsafa/device"
}
