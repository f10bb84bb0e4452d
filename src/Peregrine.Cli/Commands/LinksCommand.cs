// "peregrine links": what this machine offers, what it does not and why, and which line to take. Opens nothing that lasts.
using System.CommandLine;
using System.Text;
using System.Text.Json;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Spectre.Console;

namespace Peregrine.Cli.Commands;

internal static class LinksCommand
{
    private const int WidthMax = 80;

    internal static Command Create()
    {
        var kind = new Argument<string?>("kind") { Description = "Shows the options of one kind instead: " + string.Join(", ", LinkKinds.All.Select(static k => k.Name)), DefaultValueFactory = static _ => null };
        var json = new Option<bool>("--json") { Description = "Print JSON for programs" };
        var space = new Option<string?>("--netns") { Description = "Look in this network namespace: a name of 'ip netns', or a path" };
        var command = new Command("links",
            "Shows by which links this machine can carry a network of ours, and for those it cannot, why and what to do.\n\n"
            + "A link is one line, the same in every command and in configuration: kind:name[,option[=value]]...\n\nExamples:\n"
            + "  peregrine links                       what there is, and a recommendation\n"
            + "  peregrine links packet                the options of AF_PACKET links\n"
            + "  peregrine serve --link auto           takes the recommendation\n"
            + "  peregrine serve --link auto:veth0     the best driver of that interface")
        {
            kind, json, space,
        };
        command.SetAction(parsed => Run(parsed.GetValue(kind), parsed.GetValue(space), parsed.GetValue(json)));
        return command;
    }

    private static int Run(string? kind, string? space, bool json)
    {
        if (kind is not null)
        {
            PrintKind(LinkKinds.All.FirstOrDefault(k => k.Name == kind)
                ?? throw new ArgumentException($"There is no kind '{kind}': known are {string.Join(", ", LinkKinds.All.Select(static k => k.Name))}."));
            return 0;
        }
        var offers = space is null ? LinkKinds.Probe() : ProbeIn(space);
        var best = LinkKinds.BestFirst(offers).FirstOrDefault();
        if (json) PrintJson(offers, best);
        else PrintTable(offers, best);
        return 0;
    }

    private static IReadOnlyList<LinkOffer> ProbeIn(string name)
    {
        using var space = NetworkNamespace.Open(name);
        return space.Run(LinkKinds.Probe);
    }

    private static void PrintTable(IReadOnlyList<LinkOffer> offers, LinkOffer? best)
    {
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumns("link", "mode", "queues", "offloads");
        foreach (var offer in offers.Where(static o => o.IsAvailable).OrderByDescending(static o => o.Rank))
            table.AddRow(Escaped(offer.Line, offer.Mode, $"{offer.QueueCountMax}", Words(offer.Offloads)));
        AnsiConsole.Write(table);
        if (offers.Any(static o => !o.IsAvailable))
        {
            Console.WriteLine("Not available:\n");
            foreach (var offer in offers.Where(static o => !o.IsAvailable))
            {
                Print(offer.Line, 2);
                Print(offer.Reason ?? "", 6);
                Print(offer.Remedy ?? "", 6);
            }
            Console.WriteLine();
        }
        Print(HugePages.Describe(), 0);
        Console.WriteLine(best is null ? "Recommended: --link memory, for nothing else is available." : $"Recommended: --link {best.Line}   (this is what --link auto takes)");
    }

    /// <summary>A text in lines of at most <see cref="WidthMax"/> characters, cut between words.</summary>
    private static void Print(string text, int indent)
    {
        var line = new StringBuilder(new string(' ', indent));
        foreach (var word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Length > indent && line.Length + 1 + word.Length > WidthMax)
            {
                Console.WriteLine(line);
                line.Clear().Append(' ', indent);
            }
            if (line.Length > indent) line.Append(' ');
            line.Append(word);
        }
        Console.WriteLine(line);
    }

    private static void PrintKind(LinkKind kind)
    {
        Console.WriteLine($"{kind.Form}\n\n  {kind.Help}\n");
        if (kind.Options.Count == 0) return;
        var width = kind.Options.Max(static o => o.Form.Length) + 2;
        foreach (var option in kind.Options) Console.WriteLine($"  {option.Form.PadRight(width)}{option.Help}{(option.IsRepeatable ? " (may be given several times)" : "")}");
    }

    private static void PrintJson(IReadOnlyList<LinkOffer> offers, LinkOffer? best)
    {
        using var stream = Console.OpenStandardOutput();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("links");
            foreach (var offer in offers)
            {
                writer.WriteStartObject();
                writer.WriteString("kind", offer.Kind);
                writer.WriteString("line", offer.Line);
                writer.WriteBoolean("available", offer.IsAvailable);
                if (!offer.IsAvailable) writer.WriteString("reason", offer.Reason);
                if (offer.Remedy is not null) writer.WriteString("remedy", offer.Remedy);
                writer.WriteString("mode", offer.Mode);
                writer.WriteNumber("queueCountMax", offer.QueueCountMax);
                writer.WriteString("offloads", Words(offer.Offloads));
                writer.WriteNumber("rank", offer.Rank);
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
            writer.WriteString("hugePages", HugePages.Describe());
            writer.WriteString("recommended", best?.Line ?? "memory");
            writer.WriteEndObject();
        }
        stream.Write("\n"u8);
    }

    internal static string Words(LinkOffloads offloads)
    {
        var words = new List<string>();
        if (offloads.HasFlag(LinkOffloads.TransmitChecksum)) words.Add(offloads.HasFlag(LinkOffloads.ReceiveChecksum) ? "checksums" : "checksums out");
        else if (offloads.HasFlag(LinkOffloads.ReceiveChecksum)) words.Add("checksums in");
        if ((offloads & (LinkOffloads.SegmentTcp4 | LinkOffloads.SegmentTcp6)) != 0) words.Add("segmentation");
        if (offloads.HasFlag(LinkOffloads.ReceiveMerged)) words.Add("merging");
        if (offloads.HasFlag(LinkOffloads.Gather)) words.Add("gathering");
        return words.Count == 0 ? "none" : string.Join(", ", words);
    }

    private static string[] Escaped(params string[] cells) => [.. cells.Select(Markup.Escape)];
}
