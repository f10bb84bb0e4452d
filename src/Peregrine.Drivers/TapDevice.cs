// Opening and asking a TAP or TUN device: the ioctls, and errors that say what to do. No frames here.
using Peregrine.Core.Links;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers;

internal static unsafe class TapDevice
{
    public const string DevicePath = "/dev/net/tun";

    /// <summary>Refuses what cannot be an interface's name, before the kernel sees it.</summary>
    public static void CheckName(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (name.Length >= InterfaceRequest.NameSize || name is "." or ".." || !name.All(c => c is > ' ' and <= '~' and not ('/' or ':')))
            throw new ArgumentException($"'{name}' is not the name of an interface: 1 to 15 letters, digits, '-', '_' or '.'.", nameof(name));
    }

    public static void Check(string name, TapOptions options)
    {
        CheckName(name);
        // The kernel's limit counts the Ethernet header in.
        var mtuMax = options.Medium == LinkMedium.Ethernet ? 65_521 : 65_535;
        if (options.Mtu is { } mtu && (mtu < 68 || mtu > mtuMax)) throw new ArgumentException($"The MTU {mtu} is not in the range 68 to {mtuMax}.", nameof(options));
        if (options.QueueCount is < 1 or > 64) throw new ArgumentException($"{options.QueueCount} queues are not in the range 1 to 64.", nameof(options));
    }

    /// <summary>Opens all queues of the device and configures the kernel's side.</summary>
    public static int[] OpenAll(string name, TapOptions options)
    {
        var descriptors = new int[options.QueueCount];
        Array.Fill(descriptors, -1);
        try
        {
            foreach (ref var descriptor in descriptors.AsSpan()) descriptor = Open(ref name, options);
            Configure(name, options);
            return descriptors;
        }
        catch
        {
            foreach (var descriptor in descriptors)
            {
                if (descriptor >= 0) Posix.Close(descriptor);
            }
            throw;
        }
    }

    /// <summary>Opens a device again that was deleted. One that somebody else had made is waited for; ours is made again.</summary>
    public static int[] Reopen(string name, TapOptions options, bool mayMake) => NetworkNamespace.RunIn(options.NetworkNamespace, () =>
        mayMake || Exists(name)
            ? OpenAll(name, options)
            : throw new IOException($"the interface '{name}' was deleted and is not there again: make it ('ip tuntap add'), and the link comes back"));

    /// <summary>Whether the calling thread's namespace has an interface of that name.</summary>
    public static bool Exists(string name)
    {
        var control = OpenControl(name);
        if (control >= 0) Posix.Close(control);
        return control >= 0;
    }

    /// <summary>Asks a descriptor for its device's name and flags.</summary>
    /// <exception cref="ArgumentException">It is no such device, or not as we need it.</exception>
    public static (string Name, short Flags) Describe(int descriptor)
    {
        InterfaceRequest request = default;
        if (Posix.IoControl(descriptor, InterfaceControl.GetInterface, ref request).IsError)
            throw new ArgumentException($"Descriptor {descriptor} is not a TAP or TUN device with TUNSETIFF done.", nameof(descriptor));
        if ((request.Flags & InterfaceControl.NoPacketInformation) == 0)
            throw new ArgumentException($"Descriptor {descriptor} was made without IFF_NO_PI.", nameof(descriptor));
        return (request.NameText(), request.Flags);
    }

    /// <summary>Opens one queue of the device, making it where there is none; <paramref name="name"/> becomes the kernel's name for it.</summary>
    private static int Open(ref string name, TapOptions options)
    {
        var opened = Posix.Open(DevicePath, OpenFlags.ReadWrite | OpenFlags.NonBlocking);
        if (opened.Errno is Errno.EACCES or Errno.EPERM) ThrowNotPermitted(options);
        if (opened.Errno is Errno.ENOENT or Errno.ENODEV or Errno.ENXIO)
            throw new IOException($"{DevicePath} is missing: load the module ('modprobe tun'), in a container pass the device ('--device {DevicePath}'), or use --link memory");
        var descriptor = opened.ThrowIfError($"cannot open {DevicePath}").Int32;
        try
        {
            var request = InterfaceRequest.For(name);
            request.Flags = (short)((options.Medium == LinkMedium.Ethernet ? InterfaceControl.Tap : InterfaceControl.Tun)
                | InterfaceControl.NoPacketInformation | InterfaceControl.VnetHeader | (options.QueueCount > 1 ? InterfaceControl.MultiQueue : 0));
            var set = Posix.IoControl(descriptor, InterfaceControl.SetInterface, ref request);
            if (set.Errno is Errno.EPERM or Errno.EACCES) ThrowNotPermitted(options);
            if (set.Errno == Errno.EBUSY) throw new IOException($"'{name}' is in use by another process: stop it, or take another name");
            if (set.Errno == Errno.EINVAL)
                throw new IOException($"'{name}' exists and is another kind of interface (TAP or TUN, number of queues): delete it ('ip link del {name}'), or take another name");
            set.ThrowIfError($"cannot open the interface '{name}'");
            name = request.NameText();
            SetOffloads(descriptor, request.Flags, options.Offloads);
            if (options.Persist)
                Posix.IoControl(descriptor, InterfaceControl.SetPersist, (void*)1).ThrowIfError($"cannot make '{name}' persistent");
            return descriptor;
        }
        catch
        {
            Posix.Close(descriptor);
            throw;
        }
    }

    /// <summary>Says what the kernel may leave to us in frames that it sends. Sending offloaded frames needs the header only.</summary>
    public static void SetOffloads(int descriptor, short flags, bool wanted)
    {
        if ((flags & InterfaceControl.VnetHeader) == 0) return;
        var size = VnetHeader.Size;
        Posix.IoControl(descriptor, InterfaceControl.SetHeaderSize, &size).ThrowIfError("the kernel refuses the virtio header of 10 bytes");
        // An old kernel knows fewer (UDP since 6.2): then it finishes more by itself, and frames say what they are in any case.
        const uint tcp = InterfaceControl.OffloadChecksum | InterfaceControl.OffloadTcp4 | InterfaceControl.OffloadTcp6 | InterfaceControl.OffloadTcpEcn;
        uint[] attempts = wanted ? [tcp | InterfaceControl.OffloadUdp4 | InterfaceControl.OffloadUdp6, tcp, InterfaceControl.OffloadChecksum] : [0];
        foreach (var offloads in attempts)
        {
            if (!Posix.IoControl(descriptor, InterfaceControl.SetOffload, (void*)offloads).IsError) return;
        }
    }

    /// <summary>Configures the kernel's side.</summary>
    public static void Configure(string name, TapOptions options)
    {
        if (options.Mtu is null && !options.BringUp && options.KernelAddresses.Count == 0) return;
        using var netlink = new RouteNetlink();
        if (options.Mtu is { } mtu) netlink.SetMtu(name, mtu);
        if (options.BringUp) netlink.SetUp(name, true);
        foreach (var address in options.KernelAddresses) netlink.AddAddress(name, address);
    }

    /// <summary>A socket by which the interface can be asked, or -1 where it lies in another namespace.</summary>
    public static int OpenControl(string name)
    {
        var control = Posix.Socket(LinuxConstants.FamilyInet, LinuxConstants.SocketDatagram, 0);
        if (control.IsError) return -1;
        if (ReadMtu(control.Int32, name) is not null) return control.Int32;
        Posix.Close(control.Int32);
        return -1;
    }

    public static int? ReadMtu(int control, string name) =>
        TryAsk(control, name, InterfaceControl.GetMtu, out var request) ? request.Number : null;

    public static MacAddress? ReadAddress(int control, string name) =>
        TryAsk(control, name, InterfaceControl.GetHardwareAddress, out var request)
            ? Wire.MacAddress.Read(new ReadOnlySpan<byte>(request.HardwareAddress, Wire.MacAddress.Length))
            : null;

    public static bool IsUp(int control, string name)
    {
        const short need = InterfaceControl.FlagUp | InterfaceControl.FlagRunning;
        return TryAsk(control, name, InterfaceControl.GetFlags, out var request) && (request.Flags & need) == need;
    }

    private static bool TryAsk(int control, string name, nuint what, out InterfaceRequest request)
    {
        request = InterfaceRequest.For(name);
        return control >= 0 && !Posix.IoControl(control, what, ref request).IsError;
    }

    private static void ThrowNotPermitted(TapOptions options) =>
        throw new UnauthorizedAccessException(
            $"no permission to open a {(options.Medium == LinkMedium.Ethernet ? "TAP" : "TUN")} device: run as root, or use --link memory");
}
