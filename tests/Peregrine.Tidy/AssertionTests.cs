// Every test proves something, and none waits for real time. Looks at names and calls only; whether the proof is a good one is for readers.
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Peregrine.Tidy;

public sealed class AssertionTests
{
    private static readonly string[] ProvingPrefixes = ["Check", "Expect", "Verify", "Should", "Assert"];

    [Fact]
    public void EveryTestAsserts()
    {
        var exceptions = new Exceptions("assertions");
        var findings = new List<string>();
        // A fixture's methods assert for the tests of its whole project.
        var provingOf = Repository.TestSources.GroupBy(source => source.Project)
            .ToDictionary(project => project.Key, project => ProvingMethods(project.Select(source => source.Root)));
        foreach (var source in Repository.TestSources)
        {
            var proving = provingOf[source.Project];
            foreach (var test in TestMethods(source.Root))
            {
                var name = test.Identifier.Text;
                if (!Asserts(test, proving) && !exceptions.Allows($"{source.Path}:{name}")) findings.Add($"{source.Path}({LineOf(test)}): {name}");
            }

            foreach (var wait in source.Root.DescendantNodes().OfType<MemberAccessExpressionSyntax>().Where(IsWait))
            {
                var method = wait.Ancestors().OfType<MethodDeclarationSyntax>().FirstOrDefault()?.Identifier.Text ?? "?";
                if (!exceptions.Allows($"{source.Path}:{method}")) findings.Add($"{source.Path}({LineOf(wait)}): {wait} in {method}");
            }
        }

        Findings.ExpectNone(findings.Concat(exceptions.Unused()), "Each test asserts (Assert., or a Check/Expect/Verify/Should/Assert… method) and none sleeps.");
    }

    [Fact]
    public void NamesOfTestsAreSentences() =>
        Findings.ExpectNone(
            from source in Repository.TestSources
            from test in TestMethods(source.Root)
            let words = test.Identifier.Text.Count(char.IsUpper)
            where words < 2 || test.Identifier.Text.StartsWith("Test", StringComparison.Ordinal)
            select $"{source.Path}({LineOf(test)}): {test.Identifier.Text}",
            "A test's name is the sentence that it proves (SynInWindowElicitsChallengeAck).");

    [Fact]
    public void EmulationLeavesOutTestsThatThrow()
    {
        var programs = Repository.Read("eng/arm64-programs").Split('\n');
        Findings.ExpectNone(
            from source in Repository.TestSources
            let entry = programs.FirstOrDefault(line => line.Contains($"\"{source.Room} ", StringComparison.Ordinal))
            where entry is not null
            from test in TestMethods(source.Root)
            let type = test.Ancestors().OfType<TypeDeclarationSyntax>().First()
            // An entry may name the only classes that it runs.
            where !entry.Contains("-class ", StringComparison.Ordinal) || entry.Contains($".{type.Identifier.Text} ", StringComparison.Ordinal)
            where test.ToString().Contains("Assert.Throws", StringComparison.Ordinal)
            let attributes = $"{test.AttributeLists}{type.AttributeLists}"
            where !attributes.Contains("\"emulation\"", StringComparison.Ordinal) && !attributes.Contains("SkipUnless", StringComparison.Ordinal)
            select $"{source.Path}({LineOf(test)}): {test.Identifier.Text}",
            "The Arm64 emulator survives no exception: [Trait(\"emulation\", \"throws\")] leaves a test out there.");
    }

    [Theory]
    [InlineData("class T { [Fact] void M() { Assert.True(true); } }", true)]
    [InlineData("class T { [Fact] void M() { var x = 1; } }", false)]
    [InlineData("class T { [Fact] void M() { world.ExpectQuiet(); } }", true)]
    [InlineData("class T { [Fact] void M() { Run(); } void Run() { Assert.True(true); } }", true)]
    [InlineData("class T { [Fact] void M() { Run(); } void Run() { } }", false)]
    public void AssertionsAreRecognised(string code, bool expected)
    {
        var root = Microsoft.CodeAnalysis.CSharp.CSharpSyntaxTree.ParseText(code).GetRoot();
        Assert.Equal(expected, Asserts(Assert.Single(TestMethods(root)), ProvingMethods([root])));
    }

    [Theory]
    [InlineData("Thread.Sleep(5)", true)]
    [InlineData("Task.Delay(5)", true)]
    [InlineData("Task.Delay(5, cancel)", true)]
    [InlineData("Task.Delay(span, host.TimeProvider)", false)]
    [InlineData("Task.Delay(span, time, cancel)", false)]
    public void WaitsForRealTimeAreRecognised(string code, bool expected)
    {
        var expression = Microsoft.CodeAnalysis.CSharp.SyntaxFactory.ParseExpression(code);
        Assert.Equal(expected, IsWait(Assert.Single(expression.DescendantNodes().OfType<MemberAccessExpressionSyntax>(), static access => access.Parent is InvocationExpressionSyntax)));
    }

    /// <summary>Methods with an attribute whose name ends in Fact or Theory, derived ones included.</summary>
    internal static IEnumerable<MethodDeclarationSyntax> TestMethods(SyntaxNode root) =>
        root.DescendantNodes().OfType<MethodDeclarationSyntax>().Where(method => method.AttributeLists.SelectMany(list => list.Attributes)
            .Select(attribute => attribute.Name.ToString()).Any(name => name.EndsWith("Fact", StringComparison.Ordinal) || name.EndsWith("Theory", StringComparison.Ordinal)));

    /// <summary>Names of methods of these files that assert, themselves or through each other.</summary>
    private static HashSet<string> ProvingMethods(IEnumerable<SyntaxNode> roots)
    {
        var methods = roots.SelectMany(root => root.DescendantNodes())
            .Where(node => node is MethodDeclarationSyntax or LocalFunctionStatementSyntax)
            .Select(node => (Name: node is MethodDeclarationSyntax m ? m.Identifier.Text : ((LocalFunctionStatementSyntax)node).Identifier.Text, Node: node))
            .ToList();
        var proving = new HashSet<string>();
        // Each round may find methods that call those of the round before; there are at most as many rounds as methods.
        for (var before = -1; before < proving.Count;)
        {
            before = proving.Count;
            foreach (var (name, node) in methods)
            {
                if (!proving.Contains(name) && Asserts(node, proving)) proving.Add(name);
            }
        }

        return proving;
    }

    private static bool Asserts(SyntaxNode method, HashSet<string> proving) =>
        method.DescendantNodes().OfType<InvocationExpressionSyntax>().Any(call =>
        {
            var text = call.Expression.ToString();
            if (text.StartsWith("Assert.", StringComparison.Ordinal)) return true;
            var name = call.Expression switch
            {
                MemberAccessExpressionSyntax access => access.Name.Identifier.Text,
                MemberBindingExpressionSyntax binding => binding.Name.Identifier.Text,
                SimpleNameSyntax simple => simple.Identifier.Text,
                _ => "",
            };
            return proving.Contains(name) || Array.Exists(ProvingPrefixes, prefix => name.StartsWith(prefix, StringComparison.Ordinal));
        });

    private static bool IsWait(MemberAccessExpressionSyntax access) => access.ToString() is "Thread.Sleep" || (access.ToString() is "Task.Delay" && !IsVirtual(access));

    /// <summary>A delay by a given clock, in these tests a simulated host's, takes no real time.</summary>
    private static bool IsVirtual(MemberAccessExpressionSyntax access) => access.Parent is InvocationExpressionSyntax { ArgumentList.Arguments: { Count: >= 2 } arguments }
        && (arguments[1].ToString() == "time" || arguments[1].ToString().EndsWith("TimeProvider", StringComparison.Ordinal));

    private static int LineOf(SyntaxNode node) => node.GetLocation().GetLineSpan().StartLinePosition.Line + 1;
}
