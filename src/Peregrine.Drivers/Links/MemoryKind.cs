// The kind "memory": one end of a pair in this process. For trying things out where nothing is permitted.
using Peregrine.Core.Links;

namespace Peregrine.Drivers;

internal static class MemoryKind
{
    private static readonly string[] s_cards = ["plain", "card", "virtual"];

    public static LinkKind Memory { get; } = new()
    {
        Name = "memory",
        Form = "memory",
        Help = "One end of a pair in memory; needs nothing. The other end is its Peer.",
        NameRule = LinkNameRule.None,
        Options =
        [
            LinkOption.Number("mtu", 68, 65_535, "The MTU in bytes; 1500 where nothing is said"),
            LinkOption.Number("queues", 1, 64, "Queues"),
            LinkOption.Choice("behaves", s_cards, "What offloads it has: none, checksums, or checksums and segmentation"),
        ],
        Open = static (line, settings) => MemoryLink.CreatePair(new MemoryLinkOptions
        {
            Mtu = line.Number("mtu") ?? settings.Mtu ?? 1500,
            QueueCount = line.Number("queues") ?? 1,
            Kind = (MemoryLinkKind)Math.Max(0, Array.IndexOf(s_cards, line.Text("behaves"))),
        }).A,
        Probe = static _ => [new LinkOffer { Kind = "memory", Line = "memory", Mode = "rings in this process", QueueCountMax = 64 }],
    };
}
