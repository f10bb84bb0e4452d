// One port of DPDK on its control side: making the device, asking what it can, configuring, starting, closing. No frames. Calls are made one
// at a time in the whole process and, where one is given, in the device's network namespace.
using System.Runtime.InteropServices;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Dpdk;

internal sealed unsafe class DpdkPort : IDisposable
{
    private const int NotLive = 0, Live = 1, Gone = 2;

    private readonly DpdkLibrary _dpdk;
    private readonly NetworkNamespace? _space;
    private readonly string _device;
    private readonly bool _isCard;
    private readonly List<(nint Address, nuint Length)> _mapped = [];
    private nint _deviceHandle;
    private byte* _hashKey;
    private int _state;
    private bool _isDestroyed;
    private bool _isMade;
    private bool _closed;

    private DpdkPort(DpdkEal eal, string device, bool isCard, NetworkNamespace? space) =>
        (Eal, _dpdk, _device, _isCard, _space) = (eal, eal.Library, device, isCard, space);

    public DpdkEal Eal { get; }

    public ushort Id { get; private set; }

    public DpdkDriver Driver { get; private set; } = DpdkDriver.For("");

    /// <summary>What the driver calls itself: "net_null".</summary>
    public string DriverName { get; private set; } = "";

    public ulong ReceiveOffloads { get; private set; }

    public ulong SendOffloads { get; private set; }

    public int HashKeyLength { get; private set; }

    public int TableSize { get; private set; }

    public int Mtu { get; private set; }

    public MacAddress Address { get; private set; }

    public int NumaNode { get; private set; }

    /// <summary>The number of the kernel's interface beneath a device of software, or 0.</summary>
    public int InterfaceIndex { get; private set; }

    /// <summary>Whether bursts may be called: between start and stop, and the device is there.</summary>
    public bool IsLive => Volatile.Read(ref _state) == Live;

    public bool IsGone => Volatile.Read(ref _state) == Gone;

    /// <summary>Whether there is a carrier.</summary>
    public bool IsUp
    {
        get
        {
            if (!IsLive) return false;
            Eal.Log.Bound();
            if (_dpdk.IsRemoved(Id) == 1) OnGone();
            ulong state = 0;
            return IsLive && _dpdk.LinkState(Id, &state) == 0 && (state & DpdkAbi.LinkStatusBit) != 0;
        }
    }

    /// <summary>Makes the device and configures its port.</summary>
    /// <param name="device">DPDK's name for it.</param>
    /// <param name="options">How.</param>
    /// <param name="space">Where control calls are made, the caller's to dispose of; null is wherever the calling thread is.</param>
    public static DpdkPort Open(string device, DpdkOptions options, NetworkNamespace? space)
    {
        options.Check();
        var port = new DpdkPort(DpdkEal.Get(options.EalArguments), device, IsCardAddress(device), space);
        try
        {
            port.Run(() => port.Make(options));
            return port;
        }
        catch
        {
            port.Dispose();
            throw;
        }
    }

    /// <summary>Whether a name is a card's place on the PCI bus: "0000:03:00.0" or "03:00.0".</summary>
    public static bool IsCardAddress(string name) =>
        name.Length is 7 or 12 && name[^2] == '.' && name[^5] == ':' && name.All(c => char.IsAsciiHexDigit(c) || c is ':' or '.');

    /// <summary>The device's own arguments with what the driver needs and the user did not say.</summary>
    public static string Arguments(DpdkDriver driver, IEnumerable<string> arguments, int queues)
    {
        var words = arguments.ToList();
        bool IsGiven(string one) => words.Exists(word => word.StartsWith(one[..(one.IndexOf('=', StringComparison.Ordinal) + 1)], StringComparison.Ordinal));
        var defaults = driver.Defaults.Any(IsGiven) ? [] : driver.Defaults;
        if (driver.QueueWord is { } word && queues > 1 && !IsGiven(word + "=")) words.Add($"{word}={queues}");
        words.AddRange(defaults);
        return string.Join(',', words);
    }

    public void SetUpQueue(int index, int descriptors, MbufPool pool)
    {
        ushort receive = (ushort)descriptors, send = (ushort)descriptors;
        Check(_dpdk.AdjustDescriptors(Id, &receive, &send), "takes no ring of that size");
        Check(_dpdk.SetUpReceiveQueue(Id, (ushort)index, receive, unchecked((uint)NumaNode), null, pool.Address), $"cannot set receive queue {index} up");
        Check(_dpdk.SetUpSendQueue(Id, (ushort)index, send, unchecked((uint)NumaNode), null), $"cannot set send queue {index} up");
    }

    public void Start(bool promiscuous)
    {
        Check(_dpdk.Start(Id), "does not start");
        // Neighbour discovery is multicast. Drivers without filters say that they do not know this, and give all.
        _dpdk.AllMulticast(Id);
        if (promiscuous && _dpdk.Promiscuous(Id) is var result and not 0 and not DpdkAbi.NotSupported) Check(result, "does not become promiscuous");
        Volatile.Write(ref _state, Live);
    }

    /// <summary>Lets the device reach memory of ours. Devices of software need nothing; a card needs it registered and mapped.</summary>
    public void Reach(ChunkPool chunks)
    {
        if (!_isCard) return;
        var page = Posix.PageSize;
        var start = (nuint)chunks.Base / page * page;
        var length = ((nuint)chunks.Base + ((nuint)chunks.Count * (nuint)chunks.ChunkSize) - start + page - 1) / page * page;
        Check(_dpdk.RegisterMemory((void*)start, length, null, 0, page), "cannot use our frame memory: open it with buffers=copied");
        _mapped.Add(((nint)start, length));
        Check(_dpdk.MapForDevice((void*)_deviceHandle, (void*)start, start, length), "cannot map our frame memory: open it with buffers=copied");
    }

    /// <summary>Runs a control call in the device's namespace, alone in the process.</summary>
    public void Run(Action action)
    {
        lock (DpdkEal.Control)
        {
            if (_space is null) action();
            else _space.Run(action);
        }
    }

    /// <summary>Throws when a call of DPDK failed, with what it logged.</summary>
    public void Check(int result, string what)
    {
        if (result >= 0) return;
        throw new IOException($"dpdk: '{_device}' {what}: {PosixResult.Describe((Errno)(-result))}.{Eal.Log.Tail()}", -result);
    }

    /// <summary>Says that the device is gone: no burst is called any more.</summary>
    public void OnGone() => Interlocked.CompareExchange(ref _state, Gone, Live);

    /// <summary>Says that DPDK has forgotten the port, whoever asked it to: its number and its name may be another's from now on.</summary>
    public void OnDestroyed()
    {
        Volatile.Write(ref _isDestroyed, true);
        OnGone();
    }

    /// <summary>Stops and removes the device. The owners of the queues must have stopped.</summary>
    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        Interlocked.Exchange(ref _state, NotLive);
        try
        {
            if (_isMade) Run(Remove);
        }
        catch (UnauthorizedAccessException)
        {
            // The namespace may not be entered any more (--user). What the driver then cannot find, it lets be.
            lock (DpdkEal.Control) Remove();
        }
        NativeMemory.Free(_hashKey);
        _hashKey = null;
    }

    private void Remove()
    {
        DpdkEvents.Forget(this);
        var isThere = !Volatile.Read(ref _isDestroyed);
        if (isThere) _dpdk.Stop(Id);
        foreach (var (address, length) in _mapped)
        {
            if (isThere) _dpdk.UnmapForDevice((void*)_deviceHandle, (void*)address, (ulong)address, length);
            _dpdk.UnregisterMemory((void*)address, length);
        }
        if (!isThere) return;
        if (_isCard)
        {
            _dpdk.Close(Id);
            if (_deviceHandle != 0) _dpdk.RemoveDevice((void*)_deviceHandle);
            return;
        }
        // A device of software is closed by its removal; closing it before would let its name be taken while its memory is there.
        fixed (byte* bus = "vdev\0"u8, name = DpdkLibrary.Text(_device)) _dpdk.HotplugRemove(bus, name);
    }

    private void Make(DpdkOptions options)
    {
        Eal.Log.Clear();
        ushort id = 0;
        fixed (byte* name = DpdkLibrary.Text(_device))
        {
            if (_dpdk.PortByName(name, &id) == 0) throw new IOException($"dpdk: '{_device}' is open already in this process: give each link a device of its own (net_null0, net_null1).");
            Check(_isCard ? ProbeCard(options) : AddDevice(name, options), $"cannot be made (arguments '{string.Join(',', options.DeviceArguments)}'). " + Advice());
            if (_dpdk.PortByName(name, &id) != 0) throw new IOException($"dpdk: '{_device}' has no port of that name.{Eal.Log.Tail()}");
        }
        (Id, _isMade) = (id, true);
        Ask();
        Configure(options);
        byte* address = stackalloc byte[8];
        Check(_dpdk.MacAddress(Id, address), "has no address");
        Address = MacAddress.Read(new ReadOnlySpan<byte>(address, 6));
        DpdkEvents.Watch(this);
    }

    private int ProbeCard(DpdkOptions options)
    {
        fixed (byte* text = DpdkLibrary.Text(string.Join(',', [_device, .. options.DeviceArguments]))) return _dpdk.Probe(text);
    }

    private int AddDevice(byte* name, DpdkOptions options)
    {
        fixed (byte* bus = "vdev\0"u8, text = DpdkLibrary.Text(Arguments(DpdkDriver.For(_device), options.DeviceArguments, options.QueueCount))) return _dpdk.HotplugAdd(bus, name, text);
    }

    private string Advice() => _isCard
        ? "Is it bound to vfio-pci (dpdk-devbind.py -b vfio-pci), and its driver's package installed (apt-cache search librte-net)?"
        : $"Is its driver's package installed (librte-{_device.TrimEnd('0', '1', '2', '3', '4', '5', '6', '7', '8', '9').Replace('_', '-').Replace("virtio-user", "virtio", StringComparison.Ordinal)}23),"
            + " and are its arguments right?";

    private void Ask()
    {
        var info = stackalloc byte[DpdkAbi.DeviceInfoSize + DpdkAbi.Slack];
        new Span<byte>(info, DpdkAbi.DeviceInfoSize + DpdkAbi.Slack).Clear();
        Check(_dpdk.PortInfo(Id, info), "does not say what it can");
        _deviceHandle = *(nint*)(info + DpdkAbi.InfoDevice);
        DriverName = Marshal.PtrToStringUTF8(*(nint*)(info + DpdkAbi.InfoDriverName)) ?? "";
        Driver = DpdkDriver.For(DriverName);
        InterfaceIndex = *(int*)(info + DpdkAbi.InfoInterface);
        ReceiveOffloads = *(ulong*)(info + DpdkAbi.InfoReceiveOffloads);
        SendOffloads = *(ulong*)(info + DpdkAbi.InfoSendOffloads);
        TableSize = *(ushort*)(info + DpdkAbi.InfoTableSize);
        HashKinds = *(ulong*)(info + DpdkAbi.InfoHashKinds);
        // DPDK: a driver that says 0 has the customary 40 bytes.
        HashKeyLength = HashKinds == 0 || info[DpdkAbi.InfoKeySize] > 0 ? info[DpdkAbi.InfoKeySize] : DpdkAbi.HashKeyLength;
        QueueCountMax = Math.Min(*(ushort*)(info + DpdkAbi.InfoReceiveQueuesMax), *(ushort*)(info + DpdkAbi.InfoSendQueuesMax));
        var flags = *(uint*)(*(nint*)(info + DpdkAbi.InfoDeviceFlags));
        _interrupts = (flags & DpdkAbi.DeviceSaysRemoval) != 0 ? DpdkAbi.InterruptOnRemoval : 0;
        if (Driver.CarrierByInterrupt && (flags & DpdkAbi.DeviceSaysCarrier) != 0) _interrupts |= DpdkAbi.InterruptOnCarrier;
        NumaNode = _dpdk.NumaNode(Id);
    }

    private ulong HashKinds { get; set; }

    private int QueueCountMax { get; set; }

    private uint _interrupts;

    private void Configure(DpdkOptions options)
    {
        if (options.QueueCount > QueueCountMax) throw new ArgumentException($"dpdk: '{_device}' has {QueueCountMax} queues and {options.QueueCount} are wanted: lower queues.");
        ushort mtu = 1500;
        _dpdk.GetMtu(Id, &mtu);
        Mtu = options.Mtu ?? mtu;
        const ulong receive = DpdkAbi.ReceiveVlanStrip | DpdkAbi.ReceiveTcpChecksum | DpdkAbi.ReceiveUdpChecksum;
        const ulong send = DpdkAbi.SendVlanInsert | DpdkAbi.SendIpChecksum | DpdkAbi.SendTcpChecksum | DpdkAbi.SendUdpChecksum | DpdkAbi.SendTcpSegmentation;
        ReceiveOffloads &= DpdkAbi.ReceiveScatter | (options.Offloads ? receive : 0);
        SendOffloads &= DpdkAbi.SendManySegments | (options.Offloads ? send : 0);
        var conf = stackalloc byte[DpdkAbi.ConfigurationSize + DpdkAbi.Slack];
        new Span<byte>(conf, DpdkAbi.ConfigurationSize + DpdkAbi.Slack).Clear();
        *(uint*)(conf + DpdkAbi.ConfMtu) = (uint)Mtu;
        *(ulong*)(conf + DpdkAbi.ConfReceiveOffloads) = ReceiveOffloads;
        *(ulong*)(conf + DpdkAbi.ConfSendOffloads) = SendOffloads;
        *(uint*)(conf + DpdkAbi.ConfInterrupts) = _interrupts;
        if (options.QueueCount > 1 && (HashKinds & DpdkAbi.HashKindsWanted) != 0)
        {
            *(uint*)(conf + DpdkAbi.ConfReceiveMode) = DpdkAbi.ModeHash;
            *(ulong*)(conf + DpdkAbi.ConfHashKinds) = HashKinds & DpdkAbi.HashKindsWanted;
            *(byte**)(conf + DpdkAbi.ConfHashKey) = KeepHashKey(options.HashKey?.ToArray() ?? []);
            conf[DpdkAbi.ConfHashKeyLength] = (byte)(options.HashKey?.Count ?? 0);
        }
        Check(_dpdk.Configure(Id, (ushort)options.QueueCount, (ushort)options.QueueCount, conf), "refuses its configuration");
        // A ring of software knows no MTU of its own and takes what its buffers hold.
        if (options.Mtu is { } wanted && wanted != mtu && _dpdk.SetMtu(Id, (ushort)wanted) is var set and not DpdkAbi.NotSupported) Check(set, $"does not take the MTU {wanted}");
    }

    // DPDK remembers the pointer, and drivers read the key at the start.
    private byte* KeepHashKey(byte[] key)
    {
        if (key.Length == 0) return null;
        if (key.Length != HashKeyLength) throw new ArgumentException($"dpdk: the hash key of '{_device}' has {HashKeyLength} bytes, not {key.Length}.");
        _hashKey = (byte*)NativeMemory.Alloc((nuint)key.Length);
        key.CopyTo(new Span<byte>(_hashKey, key.Length));
        return _hashKey;
    }
}
