using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>AF_PACKET beside the kernel: an address that both have, tags, queues.</summary>
public sealed class PacketLinkTests : IDisposable
{
    private const string Near = "near0", Far = "far0";

    private static readonly IPAddress s_near = IPAddress.Parse("10.95.0.2");

    private readonly NetworkNamespace _here, _there;
    private readonly FramePool _pool = PoolFixture.Pool(1024);

    public PacketLinkTests()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a pair of interfaces needs root");
        _here = NetworkNamespace.Create();
        _there = NetworkNamespace.Create();
        _here.Run(() =>
        {
            KernelFixture.NoIPv6ByItself();
            KernelInterface.AddPair(Near, Far, _there);
            KernelInterface.SetUp(Near);
            KernelInterface.AddAddress(Near, IpPrefix.Parse("10.95.0.2/24"));
        });
        _there.Run(() =>
        {
            KernelInterface.SetUp(Far);
            KernelInterface.AddAddress(Far, IpPrefix.Parse("10.95.0.1/24"));
        });
    }

    public void Dispose()
    {
        _here.Dispose();
        _there.Dispose();
    }

    [Fact]
    public void KernelIsSilentOnPortsThatAreOursAndAnswersOnOthers()
    {
        using var link = _here.Run(() => LinkFactory.Open("packet:near0,port=7000-7001"));
        var queue = link.OpenQueue(0, _pool);
        // The kernel of the other side asks; the first answer shows that the pair carries frames at all.
        Assert.True(SpinWait.SpinUntil(() => Connect(9) == SocketError.ConnectionRefused, 60_000), "the kernel answers on ports of its own");
        using var socket = _there.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { Blocking = false });
        Assert.Equal(SocketError.WouldBlock, Assert.Throws<SocketException>(() => socket.Connect(new IPEndPoint(s_near, 7001))).SocketErrorCode);
        var syn = Next(queue, static bytes => IsTcp(bytes, 7001));
        Assert.Equal(2, syn[47]);
        // A reset would have come before the retransmission of the SYN, which comes after a second.
        Next(queue, static bytes => IsTcp(bytes, 7001));
        Assert.False(socket.Poll(0, SelectMode.SelectError), "the kernel has answered on a port that is ours");
        // What is the kernel's does not come to us.
        Assert.Equal(SocketError.ConnectionRefused, Connect(7002));
        Assert.DoesNotContain(Drain(queue), static bytes => IsTcp(bytes, 7002) || IsTcp(bytes, 9));
    }

    [Fact]
    public void KernelAnswersAgainWhenTheLinkIsClosed()
    {
        _here.Run(() => LinkFactory.Open("packet:near0,port=7000")).Dispose();
        Assert.True(SpinWait.SpinUntil(() => Connect(7000) == SocketError.ConnectionRefused, 60_000), "the port is the kernel's again");
    }

    [Fact]
    public void PortsAreReservedAgainstProgramsBothWays()
    {
        _here.Run(() =>
        {
            using var program = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            program.Bind(new IPEndPoint(IPAddress.Any, 7010));
            program.Listen();
            Assert.Contains("has port 7010", Assert.Throws<IOException>(() => LinkFactory.Open("packet:near0,port=7000-7020")).Message, StringComparison.Ordinal);
            using var link = LinkFactory.Open("packet:near0,port=7000-7009");
            using var late = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => late.Bind(new IPEndPoint(IPAddress.Any, 7005))).SocketErrorCode);
        });
    }

    [Fact]
    public void TagIsTakenOutOnReceptionAndPutInOnTransmission()
    {
        using var peer = _there.Run(static () => new PacketPeer(Far));
        using var link = _here.Run(() => LinkFactory.Open("packet:near0"));
        var queue = link.OpenQueue(0, _pool);
        var bytes = PoolFixture.Ethernet(link.MacAddress, new MacAddress(0x0200_0000_0099), 0x88B5, PoolFixture.Pattern(100));
        var tagged = (byte[])[.. bytes[..12], 0x81, 0, 0x61, 0x23, .. bytes[12..]];
        Frame got = default;
        Assert.True(SpinWait.SpinUntil(() =>
        {
            peer.Send(tagged);
            return TryNext(queue, frame => PoolFixture.Bytes(_pool, frame).AsSpan().SequenceEqual(bytes), out got);
        }, 60_000), "the tagged frame comes without its tag");
        Assert.Equal((FrameFlags.VlanTag, 0x6123), (got.Flags & FrameFlags.VlanTag, got.VlanTag));

        var sent = PoolFixture.Make(_pool, bytes);
        (sent.Flags, sent.VlanTag) = (FrameFlags.VlanTag, 0x6123);
        Assert.Equal(1, queue.Transmit([sent]));
        Assert.Equal(1, queue.Counters.SentFrames);
    }

    [Theory]
    [InlineData("packet:near0", null, null, true)]
    [InlineData("packet:near0,port=443", 443, 443, true)]
    [InlineData("packet:near0,port=443,port=61000-61999,port=7000-7009", 61_000, 61_999, true)]
    [InlineData("packet:near0,mac=02:00:00:00:00:77", null, null, false)]
    public void ConnectionsBeginWhereAnswersComeAndASharedAddressIsSaidToBeShared(string line, int? min, int? max, bool shared)
    {
        using var link = _here.Run(() => LinkFactory.Open(line));
        Assert.Equal((min, max), (link.EphemeralPorts?.Min, link.EphemeralPorts?.Max));
        Assert.Equal(shared, link.SharesMacAddress);
    }

    [Fact]
    public void SeveralQueuesShareTheFlows()
    {
        using var link = _here.Run(() => LinkFactory.Open("packet:near0,queues=4"));
        var queues = Enumerable.Range(0, 4).Select(i => link.OpenQueue(i, _pool)).ToArray();
        using var socket = _there.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp));
        var seen = new HashSet<int>();
        Assert.True(SpinWait.SpinUntil(() =>
        {
            for (var port = 6000; port < 6064; port++) socket.SendTo([1, 2, 3], new IPEndPoint(s_near, port));
            for (var i = 0; i < queues.Length; i++)
            {
                if (Drain(queues[i]).Exists(static bytes => bytes.Length > 23 && bytes[23] == 17)) seen.Add(i);
            }
            return seen.Count == 4;
        }, 60_000), "some queue gets no flow");
    }

    [Fact]
    public void ErrorsSayWhatToDo() => _here.Run(() =>
    {
        Assert.Contains("no interface 'none0'", Assert.Throws<IOException>(() => LinkFactory.Open("packet:none0")).Message, StringComparison.Ordinal);
        Assert.Contains("no Ethernet interface", Assert.Throws<IOException>(() => LinkFactory.Open("packet:lo")).Message, StringComparison.Ordinal);
        Assert.Contains("a port or a range", Assert.Throws<ArgumentException>(() => LinkFactory.Open("packet:near0,port=9-8")).Message, StringComparison.Ordinal);
        Assert.Contains("more than the 4096", Assert.Throws<ArgumentException>(() => LinkFactory.Open("packet:near0,port=1-5000")).Message, StringComparison.Ordinal);
    });

    [Fact]
    public void AutoTakesAnInterfaceLeftToUsAndThatOneOnlyWhenNamed() => _here.Run(() =>
    {
        // near0 has an address of the kernel's: it is taken only by name.
        var offers = LinkKinds.Probe();
        Assert.DoesNotContain(LinkKinds.BestFirst(offers), static offer => offer.Line.EndsWith(":near0", StringComparison.Ordinal));
        Assert.Contains(LinkKinds.BestFirst(offers, Near), static offer => offer.Line == "packet:near0");
        LinkOffer? chosen = null;
        using var link = LinkFactory.Open("auto:near0", new LinkSettings { Chosen = offer => chosen = offer });
        Assert.Equal((Near, LinkKinds.BestFirst(offers, Near)[0].Line), (link.Name, chosen?.Line));
        Assert.Contains("nothing to take on 'none0'", Assert.Throws<ArgumentException>(() => LinkFactory.Open("auto:none0")).Message, StringComparison.Ordinal);
    });

    private static bool IsTcp(byte[] bytes, int port) =>
        bytes.Length >= 54 && bytes[12] == 8 && bytes[13] == 0 && bytes[23] == 6 && ((bytes[36] << 8) | bytes[37]) == port;

    private SocketError Connect(int port)
    {
        using var socket = _there.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        try
        {
            return socket.ConnectAsync(new IPEndPoint(s_near, port)).Wait(60_000) ? SocketError.Success : SocketError.TimedOut;
        }
        catch (AggregateException e) when (e.InnerException is SocketException problem)
        {
            return problem.SocketErrorCode;
        }
    }

    private byte[] Next(ILinkQueue queue, Func<byte[], bool> wanted)
    {
        for (var look = 0; look < 12_000; look++)
        {
            if (TryNext(queue, frame => wanted(PoolFixture.Bytes(_pool, frame)), out var found)) return PoolFixture.Bytes(_pool, found);
            Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = queue.PollDescriptor, Events = LinuxConstants.PollIn }];
            Posix.Poll(poll, 10_000_000);
        }
        Assert.Fail("the wanted frame did not come");
        return [];
    }

    private bool TryNext(ILinkQueue queue, Func<Frame, bool> wanted, out Frame found)
    {
        var burst = new Frame[1];
        while (queue.Receive(burst) == 1)
        {
            found = burst[0];
            if (wanted(found)) return true;
            _pool.Return(found);
        }
        found = default;
        return false;
    }

    private List<byte[]> Drain(ILinkQueue queue)
    {
        var all = new List<byte[]>();
        TryNext(queue, frame =>
        {
            all.Add(PoolFixture.Bytes(_pool, frame));
            return false;
        }, out _);
        return all;
    }
}
