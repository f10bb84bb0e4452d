// The kind "auto": takes the best of what the other kinds offer, and says which. It opens in the order of rank until one does open.
using Peregrine.Core.Links;
using Peregrine.Drivers.Memif;

namespace Peregrine.Drivers;

internal static class AutoKind
{
    public static LinkKind Auto { get; } = new()
    {
        Name = "auto",
        Form = "auto[:INTERFACE|:SOCKET]",
        Help = "The best that this machine offers, of an interface where one is named ('peregrine links' shows the order); a path or @NAME is a memif socket, whose server is whoever comes first.",
        NameRule = LinkNameRule.Optional,
        Open = static (line, settings) => Open(line, settings),
        Probe = static _ => [],
    };

    /// <summary>The offers that <c>auto</c> would try, best first.</summary>
    public static LinkOffer[] Order(IEnumerable<LinkOffer> offers, string name) =>
        [.. offers.Where(offer => offer is { IsAvailable: true, Rank: > 0 } && (name.Length == 0 ? !offer.IsKernels : IsOf(offer, name))).OrderByDescending(static offer => offer.Rank)];

    private static bool IsOf(LinkOffer offer, string name) => LinkSpecification.Parse(offer.Line).Name == name;

    private static ILink Open(LinkSpecification line, LinkSettings settings)
    {
        if (MemifKind.IsSocket(line.Name)) return OpenMemif(line.Name, settings);
        var offers = settings.NetworkNamespace is { } name ? ProbeIn(name) : LinkKinds.Probe();
        var tried = new List<string>();
        foreach (var offer in Order(offers, line.Name))
        {
            try
            {
                var link = LinkFactory.Open(offer.Line, settings);
                settings.Chosen?.Invoke(offer);
                return link;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
            {
                tried.Add($"{offer.Line} ({e.Message})");
            }
        }
        throw tried.Count > 0 ? new IOException($"'{line}' found no link that opens: {string.Join("; ", tried)}")
            : line.Error($"there is nothing to take on '{line.Name}': {Reasons(offers, line.Name)}");
    }

    private static ILink OpenMemif(string socket, LinkSettings settings)
    {
        var offer = MemifKind.OfferOn(socket);
        var link = LinkFactory.Open(offer.Line, settings);
        settings.Chosen?.Invoke(offer);
        return link;
    }

    private static IReadOnlyList<LinkOffer> ProbeIn(string name)
    {
        using var space = NetworkNamespace.Open(name);
        return space.Run(LinkKinds.Probe);
    }

    private static string Reasons(IReadOnlyList<LinkOffer> offers, string name)
    {
        var about = offers.Where(offer => !offer.IsAvailable && IsOf(offer, name)).Select(static offer => $"{offer.Line}: {offer.Reason} ({offer.Remedy})").ToList();
        return about.Count > 0 ? string.Join("; ", about) : "no kind offers it; 'peregrine links' lists what there is";
    }
}
