// A port of DPDK as a link: the control side. Any driver that DPDK has, cards included, without a library of ours between: see
// docs/internals/dpdk.md. Frames move when all queues are open, because DPDK starts a port as a whole.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Drivers.Dpdk;

/// <summary>
/// A link over a port of DPDK 22.11 (Debian 12's package): a card ("0000:03:00.0") or a device of software ("net_null0", "net_af_packet0").
/// It polls and never sleeps: there is no descriptor to wait for.
/// </summary>
public sealed class DpdkLink : ILink
{
    private readonly DpdkOptions _options;
    private readonly DpdkDevice _device;
    private byte[]? _hashKey;
    private ushort[]? _redirections;

    private DpdkLink(string name, DpdkOptions options)
    {
        (Name, _options, _hashKey) = (name, options, options.QueueCount > 1 && options.HashKey is { } key ? [.. key] : null);
        _device = new DpdkDevice(name, options, OnStarted);
        Offloads = OffloadsOf(_device.Port);
        SuperSegmentMax = (Offloads & LinkOffloads.SegmentTcp4) != 0 ? ushort.MaxValue : 0;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public LinkMedium Medium => LinkMedium.Ethernet;

    /// <inheritdoc/>
    public MacAddress MacAddress => _device.MacAddress;

    /// <inheritdoc/>
    public int Mtu => _device.Port.Mtu;

    /// <inheritdoc/>
    public LinkOffloads Offloads { get; }

    /// <inheritdoc/>
    public int SuperSegmentMax { get; }

    /// <inheritdoc/>
    public int QueueCount => _device.Queues.Length;

    /// <summary>Whether all queues are open, the device is there and says that it has a carrier. One that is gone is made again as soon as it can be.</summary>
    public bool IsUp => _device.IsUp;

    /// <summary>For tests: the port beneath.</summary>
    internal DpdkPort Port => _device.Port;

    /// <summary>For tests: how often the device was made or tried to be made again.</summary>
    internal int AttemptCount => _device.AttemptCount;

    /// <summary>What the driver calls itself, "net_null".</summary>
    public string DriverName => _device.Port.DriverName;

    /// <summary>What DPDK calls itself, "DPDK 22.11.11".</summary>
    public string Version => _device.Port.Eal.Library.Version;

    /// <summary>Where frames lie while DPDK has them: <see cref="DpdkBuffers.Own"/> or <see cref="DpdkBuffers.Copied"/>.</summary>
    public DpdkBuffers Buffers => _options.Buffers switch
    {
        DpdkBuffers.Automatic => _device.Port.Driver.TakesAnyMemory ? DpdkBuffers.Own : DpdkBuffers.Copied,
        var chosen => chosen,
    };

    /// <summary>Whether DPDK can be loaded here; starts nothing.</summary>
    public static bool IsInstalled => DpdkLibrary.IsInstalled;

    /// <summary>Opens a device. The first of a process starts DPDK.</summary>
    /// <param name="device">The device's name as DPDK has it: a driver's with a number ("net_null0"), or a card's place ("0000:03:00.0").</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="DllNotFoundException">DPDK is not installed; the message names the packages.</exception>
    /// <exception cref="NotSupportedException">DPDK is another version than the known one, or built in another way.</exception>
    /// <exception cref="IOException">DPDK refused; the message has what it said.</exception>
    public static DpdkLink Open(string device, DpdkOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(device);
        options ??= new DpdkOptions();
        var link = new DpdkLink(device, options);
        if (link.Buffers == DpdkBuffers.Copied || link.Port.Eal.AddressIsVirtual || !DpdkPort.IsCardAddress(link.Name)) return link;
        link.Dispose();
        throw new IOException($"dpdk: '{link.Name}' is reached by physical addresses (no IOMMU), which our frame memory has not: open it with buffers=copied, or turn the IOMMU on.");
    }

    /// <inheritdoc/>
    /// <exception cref="InsufficientMemoryException">The frame pool or DPDK's memory is too small; the message says for what.</exception>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        QueueGuard.Check(Name, _device.Queues, index, frames);
        var queue = new DpdkQueue(_device, Name, index, frames, Buffers == DpdkBuffers.Own, _options.RingFrames);
        _device.Open(queue);
        return queue;
    }

    /// <summary>Reads the key by which the device spreads flows.</summary>
    /// <exception cref="IOException">The device has none.</exception>
    public byte[] ReadHashKey()
    {
        byte[] key = [];
        _device.Use(port => key = DpdkSpreading.ReadKey(port));
        return key;
    }

    /// <summary>Sets the key by which the device spreads flows.</summary>
    /// <param name="key">As long as the device's.</param>
    /// <exception cref="IOException">The device does not take one.</exception>
    public void SetHashKey(ReadOnlySpan<byte> key)
    {
        if (key.Length != Port.HashKeyLength) throw new ArgumentException($"The device's key has {Port.HashKeyLength} bytes, not {key.Length}.", nameof(key));
        var copy = key.ToArray();
        _device.Use(port => DpdkSpreading.SetKey(port, copy));
        _hashKey = copy;
    }

    /// <summary>Reads which queue each residue of the hash goes to.</summary>
    /// <exception cref="IOException">The device has no such table.</exception>
    public ushort[] ReadRedirectionTable()
    {
        ushort[] queues = [];
        _device.Use(port => queues = DpdkSpreading.ReadTable(port));
        return queues;
    }

    /// <summary>Sets which queue each residue of the hash goes to.</summary>
    /// <param name="queues">As many as the device's table has, each 0 to <see cref="QueueCount"/> - 1.</param>
    /// <exception cref="IOException">The device does not take one.</exception>
    public void SetRedirectionTable(ReadOnlySpan<ushort> queues)
    {
        if (queues.Length != Port.TableSize) throw new ArgumentException($"The device's table has {Port.TableSize} entries, not {queues.Length}.", nameof(queues));
        foreach (var queue in queues)
        {
            if (queue >= QueueCount) throw new ArgumentOutOfRangeException(nameof(queues), queue, $"Must be 0 to {QueueCount - 1}.");
        }
        var copy = queues.ToArray();
        _device.Use(port => DpdkSpreading.SetTable(port, copy));
        _redirections = copy;
    }

    /// <summary>Stops and removes the device and gives all frames back. Call when its engines no longer run.</summary>
    public void Dispose() => _device.Dispose();

    /// <summary>What the stack may leave to a port.</summary>
    internal static LinkOffloads OffloadsOf(DpdkPort port)
    {
        const ulong sums = DpdkAbi.SendTcpChecksum | DpdkAbi.SendUdpChecksum, verifies = DpdkAbi.ReceiveTcpChecksum | DpdkAbi.ReceiveUdpChecksum;
        const ulong cuts = DpdkAbi.SendTcpSegmentation | DpdkAbi.SendIpChecksum | DpdkAbi.SendManySegments | sums;
        var offloads = LinkOffloads.None;
        if ((port.SendOffloads & sums) == sums) offloads |= LinkOffloads.TransmitChecksum;
        if ((port.ReceiveOffloads & verifies) == verifies) offloads |= LinkOffloads.ReceiveChecksum;
        return (port.SendOffloads & cuts) == cuts ? offloads | LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6 : offloads;
    }

    private void OnStarted(DpdkPort port)
    {
        // Not every driver takes the key from its configuration, and a device that was made again has what it is born with.
        if (_hashKey is { } key) DpdkSpreading.SetKey(port, key);
        if (_redirections is { } queues) DpdkSpreading.SetTable(port, [.. queues]);
    }
}
