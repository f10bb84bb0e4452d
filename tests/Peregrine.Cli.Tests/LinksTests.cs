// "peregrine links" and "demo links": what there is, for people on a terminal of 80 columns and for programs, as root and as nobody.
using System.Text.Json;

namespace Peregrine.Cli.Tests;

public sealed class LinksTests
{
    private static readonly string[] s_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TheTableFitsAndRecommendsWhatProgramsAreToldToo(bool asRoot)
    {
        Tool.Need(root: true, "setpriv");
        using var scratch = new Scratch();
        string[] prefix = asRoot ? [] : s_nobody;
        var table = await Tool.RunAsync(scratch.Path, prefix, "links");
        Assert.True(table is { Status: 0, Errors: "" }, table.ToString());
        var lines = table.Output.Split('\n');
        Assert.All(lines, static line => Assert.InRange(line.Length, 0, 80));

        var json = await Tool.RunAsync(scratch.Path, prefix, "links", "--json");
        Assert.True(json.Status == 0, json.ToString());
        using var told = JsonDocument.Parse(json.Output);
        var best = told.RootElement.GetProperty("recommended").GetString();
        Assert.StartsWith($"Recommended: --link {best}", lines[^2], StringComparison.Ordinal);
        var offers = told.RootElement.GetProperty("links").EnumerateArray().ToList();
        Assert.True(offers.Single(offer => offer.GetProperty("line").GetString() == best).GetProperty("available").GetBoolean());
        // What is not to be had says why and what to do.
        Assert.All(offers.Where(static offer => !offer.GetProperty("available").GetBoolean()), static offer => Assert.NotEmpty(offer.GetProperty("reason").GetString() + offer.GetProperty("remedy").GetString()));
        if (asRoot) return;
        Assert.Equal("memory", best);
        Assert.Contains("CAP_NET_RAW is missing", table.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task EveryLinkThatThisMachineOffersCarriesThePage()
    {
        Tool.Need(root: true, "curl");
        using var scratch = new Scratch();
        var result = await Tool.RunAsync(scratch.Path, [], "demo", "links");
        Assert.True(result.Status == 0, result.ToString());
        Assert.Contains("Every link that this machine offers has carried the page.", result.Output, StringComparison.Ordinal);
        foreach (var kind in (string[])["packet:", "xdp:", "tap:", "tun:", "memif:", "dpdk:", "memory"]) Assert.Contains("\n  " + kind, result.Output, StringComparison.Ordinal);
    }
}
