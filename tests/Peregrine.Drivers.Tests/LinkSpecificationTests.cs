using Peregrine.Core.Links;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

public sealed class LinkSpecificationTests
{
    private static readonly LinkKind s_kind = new()
    {
        Name = "test",
        Form = "test:DEVICE[,OUTPUT]",
        Help = "For these tests.",
        NameRule = LinkNameRule.Optional,
        Options =
        [
            LinkOption.Number("queues", 1, 64, "Queues"),
            LinkOption.Flag("server", "Which side"),
            LinkOption.Choice("mode", ["copy", "zero-copy"], "How"),
            LinkOption.Mac("mac", "Address"),
            LinkOption.Prefix("kernel", "Addresses") with { IsRepeatable = true },
            LinkOption.Text("output", "FILE", "Where to") with { IsPositional = true },
            LinkOption.Number("fd", 0, 1000, "Descriptor"),
        ],
        Open = static (_, _) => MemoryLink.CreatePair(new MemoryLinkOptions()).A,
        Probe = static _ => [],
    };

    [Fact]
    public void AllPartsComeBackTyped()
    {
        var line = Parse("test:eth0,queues=4,server,mode=zero-copy,mac=02:00:00:00:00:09,kernel=192.0.2.1/24,kernel=2001:db8::1/64");
        Assert.Equal(("test", "eth0"), (line.Kind.Name, line.Name));
        Assert.Equal((4, true, "zero-copy"), (line.Number("queues"), line.Flag("server"), line.Text("mode")));
        Assert.Equal(MacAddress.Parse("02:00:00:00:00:09"), line.Mac("mac"));
        Assert.Equal([IpPrefix.Parse("192.0.2.1/24"), IpPrefix.Parse("2001:db8::1/64")], line.Prefixes("kernel"));
        Assert.Null(line.Number("fd"));
        Assert.False(line.IsSet("output"));
    }

    [Theory]
    [InlineData("test:0000:03:00.0", "0000:03:00.0", null)]
    [InlineData("test:/run/x y.sock", "/run/x y.sock", null)]
    [InlineData("test:'a,b',out", "a,b", "out")]
    [InlineData("test:it''s", "its", null)]
    [InlineData("test:'it''s',output='o,p'", "it's", "o,p")]
    [InlineData("test:a=b.pcapng,c=d.pcapng", "a=b.pcapng", "c=d.pcapng")]
    [InlineData("test:server", "server", null)]
    [InlineData("test,output=x", "", "x")]
    [InlineData("test", "", null)]
    public void NamesMayHoldWhatPathsAndDevicesHold(string text, string name, string? output)
    {
        var line = Parse(text);
        Assert.Equal((name, output, text), (line.Name, line.Text("output"), line.ToString()));
    }

    [Fact]
    public void OptionMayStandForTheName()
    {
        var line = Parse("test:fd=3,server=off");
        Assert.Equal(("", 3, false), (line.Name, line.Number("fd"), line.Flag("server")));
    }

    [Theory]
    [InlineData("test:x,queues=65", "'queues' is '65' and must be a whole number from 1 to 64")]
    [InlineData("test:x,queues", "'queues' needs a value: queues=1..64")]
    [InlineData("test:x,queues=1,queues=2", "'queues' is given twice")]
    [InlineData("test:x,queues=two", "'queues' is 'two' and must be a whole number")]
    [InlineData("test:x,server=maybe", "'server' is 'maybe' and must be on or off")]
    [InlineData("test:x,mode=fast", "'mode' is 'fast' and must be one of copy, zero-copy")]
    [InlineData("test:x,mac=02", "'mac' is '02' and must be a hardware address")]
    [InlineData("test:x,kernel=192.0.2.1", "'kernel' is '192.0.2.1' and must be an address with its prefix length")]
    [InlineData("test:x,", "'output' is '' and must be FILE, not empty")]
    [InlineData("test:'x", "a single quote is open")]
    public void MistakesAreNamedWithWhatWouldDo(string text, string problem) =>
        Assert.Contains(problem, Assert.Throws<ArgumentException>(() => Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void UnknownOptionNamesTheKnownOnes()
    {
        var e = Assert.Throws<ArgumentException>(() => LinkSpecification.Parse("memory,speed=9"));
        Assert.Contains("'memory' has no option 'speed'; known are mtu=68..65535, queues=1..64, behaves=plain|card|virtual", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nothing:0", "tap:NAME, tun:NAME, packet:INTERFACE")]
    [InlineData("", "tap:NAME, tun:NAME, packet:INTERFACE")]
    [InlineData("packet", "the name is missing: packet:INTERFACE")]
    [InlineData("packet:", "the name is missing: packet:INTERFACE")]
    [InlineData("memory:x", "'memory' takes no name")]
    public void WrongKindsAndMissingNamesAreToldWithTheForm(string text, string problem) =>
        Assert.Contains(problem, Assert.Throws<ArgumentException>(() => LinkSpecification.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void AskingForAnUndeclaredOptionIsAMistakeOfTheDriver() =>
        Assert.Contains("declares no option 'speed'", Assert.Throws<InvalidOperationException>(() => Parse("test:x").Text("speed")).Message, StringComparison.Ordinal);

    [Fact]
    public void EveryKindIsDescribedAndMakesAnOffer()
    {
        var offers = LinkKinds.Probe();
        Assert.All(LinkKinds.All, kind =>
        {
            Assert.StartsWith(kind.Name, kind.Form, StringComparison.Ordinal);
            Assert.EndsWith(".", kind.Help, StringComparison.Ordinal);
            Assert.Equal(kind.Options.Count, kind.Options.Select(static o => o.Name).Distinct().Count());
            Assert.True(kind.Options.Count(static o => o.IsPositional) <= 1);
            if (kind.Name != "auto") Assert.Contains(offers, offer => offer.Kind == kind.Name);
        });
        Assert.All(offers, static offer =>
        {
            Assert.Equal(offer.Kind, LinkSpecification.Parse(offer.Line).Kind.Name);
            Assert.Equal(offer.IsAvailable, offer.Remedy is null);
        });
        Assert.Equal(LinkKinds.All.Count, LinkKinds.All.Select(static kind => kind.Name).Distinct().Count());
    }

    private static LinkSpecification Parse(string text) => LinkSpecification.Parse(text, [s_kind]);
}
