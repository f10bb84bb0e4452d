// The kind "pcap": from a line to PcapOptions. Every machine has it, but nobody can say which capture is meant.
using Peregrine.Core.Links;

namespace Peregrine.Drivers.Pcap;

internal static class PcapKind
{
    private const string Recorded = "recorded", Full = "full";

    public static LinkKind Pcap { get; } = new()
    {
        Name = "pcap",
        Form = "pcap:FILE[,FILE]",
        Help = "A recording: the frames of a pcapng or pcap file come in, what is sent goes into the second file or nowhere.",
        Options =
        [
            LinkOption.Text("output", "FILE", "Where what is sent goes; made anew. The word may be left out") with { IsPositional = true },
            LinkOption.Choice("speed", [Recorded, Full], "At the recorded intervals, as where nothing is said, or as fast as frames are taken"),
            LinkOption.Flag("sent", "Whether frames come too that the recording machine had sent"),
            LinkOption.Flag("unfinished", "Whether checksums may be unfinished, as a machine records them that leaves them to its card"),
            LinkOption.Number("mtu", 68, 65_535, "The MTU in bytes; 1500 where nothing is said"),
            LinkOption.Mac("mac", "Our address on the link; where nothing is said the recorded interface's"),
        ],
        Open = Open,
        Probe = static _ => [new LinkOffer { Kind = "pcap", Line = "pcap:FILE", Mode = "a recording" }],
    };

    private static PcapLink Open(LinkSpecification line, LinkSettings settings) => PcapLink.Open(line.Name, new PcapOptions
    {
        OutputPath = line.Text("output"),
        IsFullSpeed = line.Text("speed") == Full,
        IncludeSent = line.Flag("sent") ?? false,
        UnfinishedChecksums = line.Flag("unfinished") ?? false,
        Mtu = line.Number("mtu") ?? settings.Mtu ?? new PcapOptions().Mtu,
        MacAddress = line.Mac("mac"),
    });
}
