// Filters of connections: what each form takes, and that what is none is refused by name.
using Peregrine.Core.Tcp;
using Peregrine.Wire;

namespace Peregrine.Tests;

public sealed class ConnectionFilterTests
{
    private static readonly TcpInfo s_info = new()
    {
        Local = Endpoint.Parse("192.0.2.2:80"), Remote = Endpoint.Parse("[2001:db8::1]:40000"), State = TcpState.CloseWait, CongestionControl = "cubic",
    };

    [Theory]
    [InlineData("", true)]
    [InlineData("state all", true)]
    [InlineData("state connected", true)]
    [InlineData("state time-wait", false)]
    [InlineData("state close-wait", true)]
    [InlineData("state established", false)]
    [InlineData("state synchronized and sport = :80", true)]
    [InlineData("sport 81", false)]
    [InlineData("dport 40000 src 192.0.2.0/24", true)]
    [InlineData("src 192.0.2.2:80", true)]
    [InlineData("src 192.0.2.2:81", false)]
    [InlineData("src :80", true)]
    [InlineData("src *:81", false)]
    [InlineData("dst 2001:db8::/32", true)]
    [InlineData("dst 2001:db8::1", true)]
    [InlineData("dst [2001:db8::1]:40000", true)]
    [InlineData("dst [2001:db8::2]:40000", false)]
    public void FilterTakesWhatItSays(string filter, bool takes) => Assert.Equal(takes, ConnectionFilter.Parse(filter).Takes(s_info));

    [Theory]
    [InlineData("", TcpState.Listen, false)]
    [InlineData("sport 80", TcpState.TimeWait, false)]
    [InlineData("state all", TcpState.Listen, true)]
    [InlineData("state listening", TcpState.Listen, true)]
    [InlineData("state connected", TcpState.Listen, false)]
    [InlineData("state connected", TcpState.TimeWait, true)]
    [InlineData("state time-wait sport 80", TcpState.TimeWait, true)]
    [InlineData("sport 80", TcpState.SynReceived, false)]
    [InlineData("state syn-recv", TcpState.SynReceived, true)]
    public void WhatIsNoConnectionIsTakenOnlyByItsState(string filter, TcpState state, bool takes) =>
        Assert.Equal(takes, ConnectionFilter.Parse(filter).Takes(s_info with { State = state, CongestionControl = "" }));

    [Theory]
    [InlineData("state", "stands at the end")]
    [InlineData("state asleep", "states are")]
    [InlineData("speed 9", "its terms are")]
    [InlineData("sport http", "is no port")]
    [InlineData("dst example", "is no address")]
    public void WhatIsNoFilterIsRefusedByName(string filter, string text) =>
        Assert.Contains(text, Assert.Throws<FormatException>(() => ConnectionFilter.Parse(filter)).Message, StringComparison.Ordinal);
}
