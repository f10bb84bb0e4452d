using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Demux;

public sealed class ListenerTableTests
{
    /// <summary>What Linux answers to the second of two binds to one port, without and with SO_REUSEADDR on both.</summary>
    [Theory]
    [InlineData("10.0.0.1", false, "10.0.0.1", false, true, true)]
    [InlineData("10.0.0.1", false, "10.0.0.2", false, false, false)]
    [InlineData("10.0.0.1", false, "0.0.0.0", false, true, false)]
    [InlineData("10.0.0.1", false, "::", false, true, false)]
    [InlineData("10.0.0.1", false, "::", true, false, false)]
    [InlineData("10.0.0.1", false, "2001:db8::1", false, false, false)]
    [InlineData("0.0.0.0", false, "0.0.0.0", false, true, true)]
    [InlineData("0.0.0.0", false, "::", false, true, false)]
    [InlineData("0.0.0.0", false, "::", true, false, false)]
    [InlineData("0.0.0.0", false, "2001:db8::1", false, false, false)]
    [InlineData("2001:db8::1", false, "2001:db8::1", false, true, true)]
    [InlineData("2001:db8::1", false, "2001:db8::2", false, false, false)]
    [InlineData("2001:db8::1", false, "::", false, true, false)]
    [InlineData("2001:db8::1", false, "::", true, true, false)]
    [InlineData("::", false, "::", true, true, true)]
    [InlineData("::", true, "::", true, true, true)]
    public void BindsMeetAsLinuxJudges(string first, bool firstV6Only, string second, bool secondV6Only, bool refused, bool refusedWithReuse)
    {
        Endpoint a = new(IpAddress.Parse(first), 80), b = new(IpAddress.Parse(second), 80);
        foreach (var reuse in new[] { false, true })
        {
            var expected = (reuse ? refusedWithReuse : refused) ? SocketError.AddressAlreadyInUse : SocketError.Success;
            Assert.Equal(expected, Second(a, firstV6Only, b, secondV6Only, reuse));
            Assert.Equal(expected, Second(b, secondV6Only, a, firstV6Only, reuse));
        }
    }

    [Fact]
    public void ReuseWantsBothSides()
    {
        var table = new ListenerTable(4);
        Assert.Equal(SocketError.Success, table.TryAdd(At("0.0.0.0"), false, reuseAddress: false, 1));
        Assert.Equal(SocketError.AddressAlreadyInUse, table.TryAdd(At("10.0.0.1"), false, reuseAddress: true, 2));
    }

    [Fact]
    public void NearestListenerAnswers()
    {
        var table = new ListenerTable(8);
        Add(table, "::", 1, v6Only: false);
        Add(table, "0.0.0.0", 2);
        Add(table, "10.0.0.1", 3);
        Add(table, "2001:db8::1", 4);
        Assert.Equal(3, Find(table, "10.0.0.1"));
        Assert.Equal(2, Find(table, "10.0.0.2"));
        Assert.Equal(4, Find(table, "2001:db8::1"));
        Assert.Equal(1, Find(table, "2001:db8::2"));
        Assert.True(table.Remove(At("0.0.0.0"), 2));
        Assert.Equal(1, Find(table, "10.0.0.2"));
        Assert.Equal(-1, Find(table, "10.0.0.2", 81));
    }

    [Fact]
    public void V6OnlyWildcardLeavesIPv4Alone()
    {
        var table = new ListenerTable(8);
        Add(table, "::", 1, v6Only: true);
        Assert.Equal(-1, Find(table, "10.0.0.1"));
        Assert.Equal(1, Find(table, "2001:db8::1"));
    }

    [Fact]
    public void FullTableAndPortZeroAreRefused()
    {
        var table = new ListenerTable(1);
        Assert.Equal(SocketError.InvalidArgument, table.TryAdd(At("10.0.0.1", 0), false, false, 0));
        Assert.Equal(SocketError.Success, table.TryAdd(At("10.0.0.1"), false, false, 0));
        Assert.Equal(SocketError.TooManyOpenSockets, table.TryAdd(At("10.0.0.2"), false, false, 1));
        Assert.False(table.Remove(At("10.0.0.1"), 1));
        Assert.True(table.Remove(At("10.0.0.1"), 0));
        Assert.Equal(SocketError.Success, table.TryAdd(At("10.0.0.2"), false, false, 1));
        Assert.Equal(1, table.Count);
    }

    [Fact]
    public void ChangesAtRandomAgreeWithAModel()
    {
        var table = new ListenerTable(200);
        var random = new StackRandom(3);
        var model = new Dictionary<(uint Address, ushort Port), int>();
        for (var step = 0; step < 200_000; step++)
        {
            (uint Address, ushort Port) key = (random.Next(8) + 1, (ushort)(random.Next(60) + 1));
            Endpoint endpoint = new(IpAddress.FromIPv4(key.Address), key.Port);
            if (model.TryGetValue(key, out var listener))
            {
                Assert.True(table.TryFind(endpoint.Address, endpoint.Port, out var found));
                Assert.Equal(listener, found);
                Assert.Equal(SocketError.AddressAlreadyInUse, table.TryAdd(endpoint, false, false, step));
                Assert.True(table.Remove(endpoint, listener));
                model.Remove(key);
            }
            else
            {
                Assert.False(table.TryFind(endpoint.Address, endpoint.Port, out _));
                if (table.TryAdd(endpoint, false, false, step) == SocketError.Success) model.Add(key, step);
                else Assert.Equal(200, model.Count);
            }
            Assert.Equal(model.Count, table.Count);
        }
    }

    private static SocketError Second(in Endpoint first, bool firstV6Only, in Endpoint second, bool secondV6Only, bool reuse)
    {
        var table = new ListenerTable(4);
        Assert.Equal(SocketError.Success, table.TryAdd(first, firstV6Only, reuse, 1));
        return table.TryAdd(second, secondV6Only, reuse, 2);
    }

    private static Endpoint At(string address, ushort port = 80) => new(IpAddress.Parse(address), port);

    private static void Add(ListenerTable table, string address, int listener, bool v6Only = false) =>
        Assert.Equal(SocketError.Success, table.TryAdd(At(address), v6Only, reuseAddress: true, listener));

    private static int Find(ListenerTable table, string address, ushort port = 80)
    {
        table.TryFind(IpAddress.Parse(address), port, out var listener);
        return listener;
    }
}
