// A network namespace with one kernel interface whose other end is a network of ours: what every test here runs on. Needs root; without,
// the tests report themselves as not run. The namespace has no name and ends with its last user, so nothing is left behind by a crash.
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Peregrine.Core;
using Peregrine.Core.Links;
using Peregrine.Core.Tcp;
using Peregrine.Drivers;
using Peregrine.Drivers.Xdp;
using Peregrine.Wire;

namespace Peregrine.Interop.Tests;

/// <summary>Kinds of link under the tests.</summary>
public enum LinkUnderTest
{
    Tap,
    Xdp,
    Packet,
}

/// <summary>A site on TAP.</summary>
public sealed class TapSite : Site
{
    public TapSite()
        : this(offloads: true)
    {
    }

    // Not public: a fixture has one public constructor.
    internal TapSite(bool offloads)
        : base(LinkUnderTest.Tap, offloads)
    {
    }
}

/// <summary>A site on AF_XDP at one end of a veth pair.</summary>
public sealed class XdpSite() : Site(LinkUnderTest.Xdp);

/// <summary>A site on AF_PACKET at one end of a veth pair.</summary>
public sealed class PacketSite : Site
{
    public PacketSite()
        : this(offloads: true)
    {
    }

    // Not public: a fixture has one public constructor.
    internal PacketSite(bool offloads)
        : base(LinkUnderTest.Packet, offloads)
    {
    }
}

public abstract class Site(LinkUnderTest kind, bool offloads = true) : IAsyncLifetime
{
    /// <summary>Every test ends within this time, in milliseconds, or fails.</summary>
    public const int TimeoutMs = 900_000;

    private const string OurEnd = "ours0";

    private static int s_made;

    private readonly List<IDisposable> _services = [];
    private NetworkNamespace? _space;
    private NetworkNamespace? _ourSpace;
    private ILink? _link;
    private PeregrineNetwork? _network;

    public static IPAddress Kernel4 { get; } = IPAddress.Parse("10.94.0.1");

    public static IPAddress Ours4 { get; } = IPAddress.Parse("10.94.0.2");

    public static IPAddress Kernel6 { get; } = IPAddress.Parse("fd94::1");

    public static IPAddress Ours6 { get; } = IPAddress.Parse("fd94::2");

    /// <summary>Large sizes and soaks, as the test script's --long asks for.</summary>
    public static bool IsLong => Environment.GetEnvironmentVariable("PEREGRINE_LONG") == "1";

    /// <summary>Bytes of a large transfer.</summary>
    public static long TransferBytes => IsLong ? 1L << 30 : 32L << 20;

    public PeregrineNetwork Network => _network!;

    public NetworkNamespace Space => _space!;

    /// <summary>The kernel's interface.</summary>
    public string InterfaceName { get; private set; } = "";

    /// <summary>Blocks of the stack that nobody held when it began.</summary>
    public int BlockCountAtStart { get; private set; }

    public int BlockCountFree => OnCore(stack => stack.Tcp.Blocks.FreeCount);

    public TcpCounters Tcp => OnCore(stack => stack.Tcp.Counters);

    public static IPAddress Ours(bool v6) => v6 ? Ours6 : Ours4;

    public static IPAddress Kernel(bool v6) => v6 ? Kernel6 : Kernel4;

    /// <summary>How a URL or a program's argument spells our address.</summary>
    public static string OursInUrl(bool v6) => v6 ? $"[{Ours6}]" : Ours4.ToString();

    public async ValueTask InitializeAsync()
    {
        if (!Environment.IsPrivilegedProcess) return;
        _space = NetworkNamespace.Create();
        var name = string.Create(CultureInfo.InvariantCulture, $"pi{Environment.ProcessId % 1_000_000}x{Interlocked.Increment(ref s_made)}");
        InterfaceName = name;
        _link = kind == LinkUnderTest.Tap ? OpenTap(name) : OpenOnPair(name);
        var options = new PeregrineOptions
        {
            Name = name,
            Addresses = [$"{Ours4}/24", $"{Ours6}/64"],
            ControlSocket = "none",
            UseSystemResolver = false,
            StopGraceMs = 0,
            Stack = new StackOptions { ConnectionCountMax = 8_192, SynBacklogCountMax = 4_096 },
        };
        _network = await PeregrineNetwork.StartAsync(options, _link, platform: new LinuxPlatform());
        BlockCountAtStart = BlockCountFree;
        _services.AddRange(Services.Start(_network));
        // Both addresses are under test for a moment before they answer.
        await Until(() => OnCore(stack => stack.Tcp.ListenerCount) == Services.Count && CanConnect(Ours4) && CanConnect(Ours6), "the network answers");
        await ExpectQuietAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var service in _services) service.Dispose();
        if (_network != null) await _network.DisposeAsync();
        _link?.Dispose();
        _space?.Dispose();
        _ourSpace?.Dispose();
    }

    /// <summary>Reports the test as not run where it lacks root or a program.</summary>
    public void Need(params ReadOnlySpan<string> programs)
    {
        Assert.SkipUnless(_network != null, "not run: a TAP device needs root");
        foreach (var program in programs) Assert.SkipUnless(ChildProgram.IsInstalled(program), $"not run: {program} is not installed");
    }

    /// <summary>Reads the stack on its own thread.</summary>
    public T OnCore<T>(Func<NetworkStack, T> read) => Network.Engine.Run(() => read(Network.Engine.Stack));

    /// <summary>A kernel socket inside the namespace; threads outside may use it.</summary>
    public Socket KernelSocket(SocketType type, bool v6) =>
        Space.Run(() => new Socket(v6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, type, ProtocolType.Unspecified));

    /// <summary>A kernel connection to one of our services.</summary>
    public async Task<Socket> KernelConnectAsync(bool v6, int port)
    {
        var socket = KernelSocket(SocketType.Stream, v6);
        await socket.ConnectAsync(new IPEndPoint(Ours(v6), port));
        return socket;
    }

    /// <summary>A kernel listener on a free port, and where it listens.</summary>
    public (Socket Listener, IPEndPoint At) KernelListener(bool v6)
    {
        var socket = KernelSocket(SocketType.Stream, v6);
        socket.Bind(new IPEndPoint(Kernel(v6), 0));
        socket.Listen(2_048);
        return (socket, (IPEndPoint)socket.LocalEndPoint!);
    }

    /// <summary>Looks again and again until the condition holds; fails after two minutes.</summary>
    public static async Task Until(Func<bool> condition, string what)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        for (var looked = 0; looked < 24_000; looked++)
        {
            if (condition()) return;
            await timer.WaitForNextTickAsync();
        }
        Assert.Fail($"it did not come to this: {what}");
    }

    /// <summary>Expects that no connection is left and every block of memory is back.</summary>
    public async Task ExpectQuietAsync()
    {
        await Until(() => OnCore(stack => stack.Tcp.ConnectionCount) == 0, "no connection is left");
        Assert.Equal(0, Network.Engine.ConnectionCount);
        Assert.Equal(BlockCountAtStart, BlockCountFree);
    }

    /// <summary>Deletes the interface: that of a TAP link is ours and is made again by us, a pair waits for <see cref="Remake"/>.</summary>
    public void Delete() => Space.Run(() => KernelInterface.Delete(InterfaceName));

    /// <summary>Makes the interface again as it was.</summary>
    public void Remake()
    {
        if (_ourSpace is not null) MakePair(InterfaceName, _ourSpace);
    }

    /// <summary>Configures what our end of the wire is: the interface that the link stands on, or with TAP the only one that there is.</summary>
    public void OnOurInterface(Action<string> configure)
    {
        if (_ourSpace is null) Space.Run(() => configure(InterfaceName));
        else _ourSpace.Run(() => configure(OurEnd));
    }

    /// <summary>Sets the MTU of both ends.</summary>
    public void SetMtu(int mtu)
    {
        Space.Run(() => KernelInterface.SetMtu(InterfaceName, mtu));
        if (_ourSpace is not null) OnOurInterface(name => KernelInterface.SetMtu(name, mtu));
    }

    private static IReadOnlyList<IpPrefix> KernelAddresses => [IpPrefix.Parse($"{Kernel4}/24"), IpPrefix.Parse($"{Kernel6}/64")];

    private TapLink OpenTap(string name) =>
        TapLink.Open(name, new TapOptions { NetworkNamespace = Space.Path, BringUp = true, KernelAddresses = KernelAddresses, Offloads = offloads });

    private ILink OpenOnPair(string name)
    {
        _ourSpace = NetworkNamespace.Create();
        MakePair(name, _ourSpace);
        if (kind == LinkUnderTest.Packet) return LinkFactory.Open("packet:" + OurEnd, new LinkSettings { NetworkNamespace = _ourSpace.Path, Offloads = offloads });
        return XdpLink.Open(OurEnd, new XdpOptions { NetworkNamespace = _ourSpace.Path, Traffic = new XdpTraffic { All = true } });
    }

    private void MakePair(string name, NetworkNamespace ourSpace)
    {
        Space.Run(() =>
        {
            KernelInterface.AddPair(name, OurEnd, ourSpace);
            KernelInterface.SetUp(name);
            foreach (var address in KernelAddresses) KernelInterface.AddAddress(name, address);
        });
        ourSpace.Run(() => KernelInterface.SetUp(OurEnd));
    }

    private bool CanConnect(IPAddress address)
    {
        using var socket = KernelSocket(SocketType.Stream, address.AddressFamily == AddressFamily.InterNetworkV6);
        try
        {
            return socket.ConnectAsync(new IPEndPoint(address, Services.Echo)).Wait(1_000);
        }
        catch (AggregateException)
        {
            return false;
        }
    }
}
