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
public sealed unsafe class DpdkLink : ILink
{
    private readonly DpdkPort _port;
    private readonly DpdkOptions _options;
    private readonly DpdkQueue?[] _queues;
    private readonly DpdkInterface? _interface;
    private int _openCount;
    private bool _stopped;

    private DpdkLink(string name, DpdkPort port, DpdkOptions options)
    {
        (Name, _port, _options) = (name, port, options);
        _queues = new DpdkQueue?[options.QueueCount];
        _interface = NetworkNamespace.RunIn(options.NetworkNamespace, () => DpdkInterface.TryWatch(options.DeviceArguments));
        // With the kernel at the other end of the same device, both ends would have one address.
        MacAddress = options.MacAddress ?? (port.Driver.SharesKernelAddress ? new MacAddress(port.Address.Value ^ 1) : port.Address);
        const ulong sums = DpdkAbi.SendTcpChecksum | DpdkAbi.SendUdpChecksum, verifies = DpdkAbi.ReceiveTcpChecksum | DpdkAbi.ReceiveUdpChecksum;
        if ((port.SendOffloads & sums) == sums) Offloads |= LinkOffloads.TransmitChecksum;
        if ((port.ReceiveOffloads & verifies) == verifies) Offloads |= LinkOffloads.ReceiveChecksum;
        const ulong cuts = DpdkAbi.SendTcpSegmentation | DpdkAbi.SendIpChecksum | DpdkAbi.SendManySegments | sums;
        if ((port.SendOffloads & cuts) != cuts) return;
        Offloads |= LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6;
        SuperSegmentMax = ushort.MaxValue;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public LinkMedium Medium => LinkMedium.Ethernet;

    /// <inheritdoc/>
    public MacAddress MacAddress { get; }

    /// <inheritdoc/>
    public int Mtu => _port.Mtu;

    /// <inheritdoc/>
    public LinkOffloads Offloads { get; }

    /// <inheritdoc/>
    public int SuperSegmentMax { get; }

    /// <inheritdoc/>
    public int QueueCount => _queues.Length;

    /// <summary>
    /// Whether all queues are open, the device is there and says that it has a carrier. A device that was pulled out does not come back, nor one whose
    /// interface was deleted: open it again.
    /// </summary>
    public bool IsUp => _port.IsUp && _interface?.IsGone != true;

    /// <summary>For tests: the port beneath.</summary>
    internal DpdkPort Port => _port;

    /// <summary>What the driver calls itself, "net_null".</summary>
    public string DriverName => _port.DriverName;

    /// <summary>What DPDK calls itself, "DPDK 22.11.11".</summary>
    public string Version => _port.Eal.Library.Version;

    /// <summary>Where frames lie while DPDK has them: <see cref="DpdkBuffers.Own"/> or <see cref="DpdkBuffers.Copied"/>.</summary>
    public DpdkBuffers Buffers => _options.Buffers switch
    {
        DpdkBuffers.Automatic => _port.Driver.TakesAnyMemory ? DpdkBuffers.Own : DpdkBuffers.Copied,
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
        var port = DpdkPort.Open(device, options);
        var link = new DpdkLink(device, port, options);
        if (link.Buffers == DpdkBuffers.Copied || port.Eal.AddressIsVirtual || !DpdkPort.IsCardAddress(link.Name)) return link;
        link.Dispose();
        throw new IOException($"dpdk: '{link.Name}' is reached by physical addresses (no IOMMU), which our frame memory has not: open it with buffers=copied, or turn the IOMMU on.");
    }

    /// <inheritdoc/>
    /// <exception cref="InsufficientMemoryException">The frame pool or DPDK's memory is too small; the message says for what.</exception>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        QueueGuard.Check(Name, _queues, index, frames);
        ObjectDisposedException.ThrowIf(_stopped, this);
        var queue = new DpdkQueue(this, _port, index, frames, Buffers == DpdkBuffers.Own, _options.RingFrames);
        _port.Run(() =>
        {
            try
            {
                queue.SetUp();
                if (_openCount + 1 == QueueCount) _port.Start(_options.Promiscuous || MacAddress != _port.Address);
            }
            catch
            {
                queue.Release();
                throw;
            }
        });
        _queues[index] = queue;
        // Not every driver takes the key from its configuration.
        if (++_openCount == QueueCount && QueueCount > 1 && _options.HashKey is { } key) SetHashKey([.. key]);
        return queue;
    }

    /// <summary>Reads the key by which the device spreads flows.</summary>
    /// <exception cref="IOException">The device has none.</exception>
    public byte[] ReadHashKey()
    {
        var key = new byte[_port.HashKeyLength];
        _port.Run(() =>
        {
            var conf = stackalloc nint[3];
            fixed (byte* bytes = key)
            {
                (conf[0], conf[1], conf[2]) = ((nint)bytes, key.Length, 0);
                _port.Check(_port.Eal.Library.GetHash(_port.Id, conf), "has no hash key to read");
            }
        });
        return key;
    }

    /// <summary>Sets the key by which the device spreads flows.</summary>
    /// <param name="key">As long as the device's.</param>
    /// <exception cref="IOException">The device does not take one.</exception>
    public void SetHashKey(ReadOnlySpan<byte> key)
    {
        if (key.Length != _port.HashKeyLength) throw new ArgumentException($"The device's key has {_port.HashKeyLength} bytes, not {key.Length}.", nameof(key));
        var copy = key.ToArray();
        _port.Run(() =>
        {
            var conf = stackalloc nint[3];
            (conf[0], conf[1], conf[2]) = (0, 0, 0);
            _port.Check(_port.Eal.Library.GetHash(_port.Id, conf), "has no hash key to set");
            fixed (byte* bytes = copy)
            {
                // What is hashed stays as it is.
                (conf[0], conf[1]) = ((nint)bytes, copy.Length);
                _port.Check(_port.Eal.Library.SetHash(_port.Id, conf), "does not take a hash key");
            }
        });
    }

    /// <summary>Reads which queue each residue of the hash goes to.</summary>
    /// <exception cref="IOException">The device has no such table.</exception>
    public ushort[] ReadRedirectionTable()
    {
        var queues = new ushort[_port.TableSize];
        _port.Run(() => UseTable(queues, write: false));
        return queues;
    }

    /// <summary>Sets which queue each residue of the hash goes to.</summary>
    /// <param name="queues">As many as the device's table has, each 0 to <see cref="QueueCount"/> - 1.</param>
    /// <exception cref="IOException">The device does not take one.</exception>
    public void SetRedirectionTable(ReadOnlySpan<ushort> queues)
    {
        if (queues.Length != _port.TableSize) throw new ArgumentException($"The device's table has {_port.TableSize} entries, not {queues.Length}.", nameof(queues));
        foreach (var queue in queues)
        {
            if (queue >= QueueCount) throw new ArgumentOutOfRangeException(nameof(queues), queue, $"Must be 0 to {QueueCount - 1}.");
        }
        var copy = queues.ToArray();
        _port.Run(() => UseTable(copy, write: true));
    }

    /// <summary>Stops and removes the device and gives all frames back. Call when its engines no longer run.</summary>
    public void Dispose()
    {
        if (_stopped) return;
        _stopped = true;
        foreach (var queue in _queues) queue?.Drain();
        _port.Dispose();
        _interface?.Dispose();
        foreach (var queue in _queues) queue?.Release();
    }

    /// <summary>A queue was closed by its owner: with the last one the device stops, for nobody polls it any more and its frames must go home.</summary>
    internal void OnQueueClosed()
    {
        if (Interlocked.Decrement(ref _openCount) == 0) Dispose();
    }

    /// <summary>Says whether the device is still there, and what to do when it is not.</summary>
    internal LinkPresence Follow(out string? problem)
    {
        problem = _interface?.IsGone == true
            ? $"the interface '{_interface.Name}' beneath it was deleted, and a DPDK device does not come back: start the program anew, or take xdp:{_interface.Name} or packet:{_interface.Name}, which do"
            : _stopped || _port.IsLive || _openCount < QueueCount ? null : "the device was removed, and does not come back: start the program anew";
        return problem is null ? LinkPresence.There : LinkPresence.Gone;
    }

    private void UseTable(ushort[] queues, bool write)
    {
        var dpdk = _port.Eal.Library;
        var groups = (queues.Length + DpdkAbi.TableEntryCount - 1) / DpdkAbi.TableEntryCount;
        var entries = new byte[Math.Max(groups, 1) * DpdkAbi.TableEntrySize];
        fixed (byte* first = entries)
        {
            for (var i = 0; i < groups; i++) *(ulong*)(first + (i * DpdkAbi.TableEntrySize)) = ulong.MaxValue;
            for (var i = 0; i < queues.Length; i++) *Entry(first, i) = queues[i];
            _port.Check(write ? dpdk.SetTable(_port.Id, first, (ushort)queues.Length) : dpdk.GetTable(_port.Id, first, (ushort)queues.Length), "has no redirection table");
            for (var i = 0; i < queues.Length; i++) queues[i] = *Entry(first, i);
        }
    }

    private static ushort* Entry(byte* entries, int index) =>
        (ushort*)(entries + (index / DpdkAbi.TableEntryCount * DpdkAbi.TableEntrySize) + DpdkAbi.TableEntryQueues) + (index % DpdkAbi.TableEntryCount);
}
