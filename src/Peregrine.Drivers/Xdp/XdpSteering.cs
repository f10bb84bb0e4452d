// The steering program with its maps and what stands in them. Addresses change by a system call, ports by a store into shared memory.
// Lives as long as the link, so that it outlasts an interface that was deleted and comes back.
using System.Threading;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Xdp;

/// <summary>Says what of an interface's traffic is ours, at any time and from any thread. Changes are seen by the next frame.</summary>
public sealed unsafe class XdpSteering : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<IpAddress, int> _addresses = [];
    private readonly int[] _ports = new int[2 * 65_536];
    private readonly nuint _length;
    private SteeringMaps _maps;
    private byte* _memory;

    internal XdpSteering(int socketCount, XdpTraffic traffic)
    {
        _maps = new SteeringMaps(-1, -1, -1, -1);
        try
        {
            _maps = _maps with { Settings = Create(BpfMapKind.Array, 4, SteeringLayout.Size, 1, BpfCalls.MapMappable) };
            _maps = _maps with { Addresses = Create(BpfMapKind.Hash, SteeringLayout.AddressKey, 4, SteeringLayout.AddressCountMax) };
            _maps = _maps with { Fragments = Create(BpfMapKind.LruHash, SteeringLayout.FragmentKey, 1, SteeringLayout.FragmentCountMax) };
            _maps = _maps with { Sockets = Create(BpfMapKind.XdpSockets, 4, 4, socketCount) };
            _length = (SteeringLayout.Size + Posix.PageSize - 1) / Posix.PageSize * Posix.PageSize;
            _memory = (byte*)XdpCalls.MapShared(_maps.Settings, _length, 0).ThrowIfError("cannot map the steering program's settings").Value;
            Apply(traffic);
            Program = Load(_maps);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The program's descriptor, to attach it with.</summary>
    internal int Program { get; private set; } = -1;

    /// <summary>Makes an address ours alone.</summary>
    /// <exception cref="IOException">There are more than 1,024 addresses.</exception>
    public void AddOwnAddress(IpAddress address) => SetAddress(address, SteeringLayout.AddressIsOurs);

    /// <summary>Lets the ports of an address decide.</summary>
    /// <exception cref="IOException">There are more than 1,024 addresses.</exception>
    public void AddSharedAddress(IpAddress address) => SetAddress(address, SteeringLayout.AddressIsShared);

    /// <summary>Gives an address back to the kernel.</summary>
    public void RemoveAddress(IpAddress address)
    {
        var key = stackalloc byte[SteeringLayout.AddressKey];
        address.WriteIPv6To(new Span<byte>(key, SteeringLayout.AddressKey));
        lock (_gate)
        {
            if (_memory != null && _addresses.Remove(address)) BpfCalls.Delete(_maps.Addresses, key);
        }
    }

    /// <summary>Opens a port of the shared addresses to us: of UDP, or else of TCP. Ports are counted: what was opened twice is closed at the second close.</summary>
    public void OpenPort(bool udp, ushort port) => ChangePort(udp, port, 1);

    /// <summary>Closes a port that was opened.</summary>
    public void ClosePort(bool udp, ushort port) => ChangePort(udp, port, -1);

    /// <summary>Frames that the program took for us and passed to the kernel on one of the card's queues (the first 64 are told apart).</summary>
    public (long Taken, long Passed) Count(int queue)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_memory == null, this);
            var line = _memory + SteeringLayout.Counts + (SteeringLayout.CountStride * (queue & (SteeringLayout.CountedQueues - 1)));
            return (Volatile.Read(ref *(long*)(line + SteeringLayout.Taken)), Volatile.Read(ref *(long*)(line + SteeringLayout.Passed)));
        }
    }

    /// <summary>Gives the maps up. The link does it.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_memory != null) Posix.Unmap((nint)_memory, _length);
            _memory = null;
            Close(Program);
            Program = -1;
            Close(_maps.Settings);
            Close(_maps.Addresses);
            Close(_maps.Fragments);
            Close(_maps.Sockets);
            _maps = new SteeringMaps(-1, -1, -1, -1);
        }
    }

    /// <summary>Gives a queue its socket.</summary>
    internal void SetSocket(int queue, int socket) =>
        BpfCalls.Update(_maps.Sockets, &queue, &socket).ThrowIfError($"cannot give queue {queue} its AF_XDP socket");

    internal void ClearSocket(int queue)
    {
        if (_maps.Sockets >= 0) BpfCalls.Delete(_maps.Sockets, &queue);
    }

    private static int Create(BpfMapKind kind, int keySize, int valueSize, int count, uint flags = 0)
    {
        var map = BpfCalls.CreateMap(kind, keySize, valueSize, count, flags);
        if (map.Errno is Errno.EPERM or Errno.EACCES)
            throw new UnauthorizedAccessException("no permission to make a BPF map: an XDP link needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW");
        if (map.Errno is Errno.ENOSYS) throw new IOException("this kernel has no BPF: use --link packet:… instead");
        return map.ThrowIfError($"cannot make a BPF map of kind {kind}").Int32;
    }

    private static int Load(SteeringMaps maps)
    {
        var code = SteeringProgram.Assemble(maps);
        // Before Linux 5.18 no program takes frames of several fragments, and none is told of the flag.
        var loaded = BpfCalls.LoadXdp(code, "peregrine", BpfCalls.ProgramTakesFragments, out var log);
        if (loaded.Errno == Errno.EINVAL) loaded = BpfCalls.LoadXdp(code, "peregrine", 0, out log);
        if (loaded.Errno is Errno.EPERM)
            throw new UnauthorizedAccessException("no permission to load an XDP program: run as root, or with CAP_BPF and CAP_NET_ADMIN");
        return loaded.ThrowIfError($"the kernel refuses the XDP program{(log.Length == 0 ? "" : ":\n" + log + "\n")}").Int32;
    }

    private static void Close(int descriptor)
    {
        if (descriptor >= 0) Posix.Close(descriptor);
    }

    private void Apply(XdpTraffic traffic)
    {
        *(int*)(_memory + SteeringLayout.Inverted) = traffic.AllBut ? 1 : 0;
        foreach (var address in traffic.OwnAddresses) AddOwnAddress(address);
        foreach (var address in traffic.SharedAddresses) AddSharedAddress(address);
        foreach (var range in traffic.TcpPorts) OpenPorts(false, range);
        foreach (var range in traffic.UdpPorts) OpenPorts(true, range);
        Volatile.Write(ref *(int*)(_memory + SteeringLayout.Flags), traffic.All ? SteeringLayout.TakeAll : 0);
    }

    private void OpenPorts(bool udp, PortRange range)
    {
        for (int port = range.First; port <= range.Last; port++) OpenPort(udp, (ushort)port);
    }

    private void SetAddress(IpAddress address, int meaning)
    {
        var key = stackalloc byte[SteeringLayout.AddressKey];
        address.WriteIPv6To(new Span<byte>(key, SteeringLayout.AddressKey));
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_memory == null, this);
            BpfCalls.Update(_maps.Addresses, key, &meaning).ThrowIfError($"cannot steer {address} (at most {SteeringLayout.AddressCountMax} addresses)");
            _addresses[address] = meaning;
        }
    }

    private void ChangePort(bool udp, ushort port, int change)
    {
        lock (_gate)
        {
            if (_memory == null) return;
            ref var users = ref _ports[port + (udp ? 65_536 : 0)];
            users = Math.Max(0, users + change);
            var table = _memory + (udp ? SteeringLayout.UdpPorts : SteeringLayout.TcpPorts) + (port / 32 * 4);
            // Only this process writes, and only here; a bit is whole for the program at any time.
            var bit = 1u << (port % 32);
            ref var word = ref *(uint*)table;
            Volatile.Write(ref word, users > 0 ? word | bit : word & ~bit);
        }
    }
}
