// Scripts that are not quite scripts: ours with words changed, lines lost and lines twice, from seeds. Whatever they are, they pass, fail or are
// not applicable with a line and a reason; the interpreter itself never fails.
using Peregrine.Scripting;

namespace Peregrine.Scripts.Tests;

public sealed class MutationTests
{
    private const int Rounds = 2;

    private static readonly string[] s_words =
    [
        "...", "-1", "0", "99999999999999999999", "0x", "0xffffffff", "<", ">", "(", ")", "[", "]", "{", "}", "=", "*", "~", "\"", "`", "%{", "}%", "/*", "//", "NULL", "sctp", "gre", "S.", "9.",
        "<sack 1>", "<TS val * ecr ?>", "<0x0>", "<gen-300 01>", "icmp", "udp", "[udp (", "assert", "if x:", "tcpi_rtt", "2**99", "AF_UNSPEC", "MSG_OOB", "--define=a=b", "+1e9", "08", "poll", "recvmsg",
        "setsockopt(3, 6, 99, [1], 4)", "getsockopt(3, SOL_TCP, 2, {a=1}, [4])", "sendmsg(4, 5, 6)",
    ];

    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Scripts");

    public static TheoryData<string> Folders() => new(Directory.EnumerateDirectories(Folder).Select(static path => Path.GetFileName(path)!).Where(static name => name != "options").Order());

    private static string Mutate(string text, Random random)
    {
        var lines = text.Split('\n').ToList();
        for (var changes = random.Next(1, 4); changes > 0; changes--)
        {
            var at = random.Next(lines.Count);
            var words = lines[at].Split(' ');
            switch (random.Next(5))
            {
                case 0:
                    lines.RemoveAt(at);
                    if (lines.Count == 0) lines.Add("");
                    break;
                case 1:
                    lines.Insert(random.Next(lines.Count), lines[at]);
                    break;
                case 2:
                    words[random.Next(words.Length)] = s_words[random.Next(s_words.Length)];
                    lines[at] = string.Join(' ', words);
                    break;
                case 3:
                    lines[at] = lines[at][..random.Next(lines[at].Length + 1)];
                    break;
                default:
                    lines[at] = lines[at].Insert(random.Next(lines[at].Length + 1), s_words[random.Next(s_words.Length)]);
                    break;
            }
        }
        return string.Join('\n', lines);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void WhateverTheTextThereIsAResult(string folder)
    {
        foreach (var path in ScriptSuite.Find(Path.Combine(Folder, folder)))
        {
            var text = File.ReadAllText(path);
            for (var seed = 0; seed < Rounds; seed++)
            {
                var mutated = Mutate(text, new Random(seed + text.Length));
                try
                {
                    var result = ScriptSuite.Run(path, mutated, folder == "freebsd" ? "freebsd" : "linux");
                    Assert.True(result.Outcome == ScriptOutcome.Passed || result.Detail.Length > 0);
                }
                catch (Exception e) when (e is not Xunit.Sdk.XunitException)
                {
                    Assert.Fail($"{path}, seed {seed}: {e}\n{mutated}");
                }
            }
        }
    }
}
