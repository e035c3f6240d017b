//! A transcript as a page that is printed, signed by hand and put into a folder.

use crate::journal::Named;
use crate::transcript::{StepRecord, Transcript};
use model::Digest;
use model::text::printable;

/// How it looks, on paper too. Nothing is fetched from anywhere.
const STYLE: &str = "\
@page{size:A4;margin:18mm 16mm}\
*{box-sizing:border-box}\
body{font:10.5pt/1.45 'Noto Sans',Helvetica,Arial,sans-serif;color:#111;max-width:52rem;margin:2rem auto;padding:0 1.5rem}\
h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2rem 0 .6rem;border-bottom:2px solid #111;padding-bottom:.2rem}\
h3{font-size:1rem;margin:0 0 .3rem}p{margin:.3rem 0}\
.purpose{font-size:1.1rem;margin-bottom:1rem}\
.rehearsal{border:3px solid #b00020;color:#b00020;font-weight:700;font-size:1.4rem;letter-spacing:.15em;text-align:center;padding:.6rem;margin-bottom:1.2rem}\
.rehearsal small{display:block;font-size:.8rem;font-weight:400;letter-spacing:0}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #ccc}\
th{font-weight:600;white-space:nowrap;width:10rem}\
code,pre{font-family:'Noto Sans Mono','DejaVu Sans Mono',monospace;font-size:8.5pt}\
code{overflow-wrap:anywhere}pre{background:#f5f5f5;border:1px solid #ddd;padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}\
.step{border:1px solid #999;border-left:5px solid #111;padding:.6rem .8rem;margin:.7rem 0;break-inside:avoid}\
.step table th{width:6rem}.muted{color:#555}\
.sign td{height:3.4rem;border-bottom:1px solid #111}.sign{break-inside:avoid}\
details{margin:.4rem 0}summary{cursor:pointer}\
@media print{body{margin:0;max-width:none;padding:0}h2{break-after:avoid}}";

/// The page of a transcript. `digest` is that of the transcript's octets, which is what was signed; `signers` are those
/// who did.
#[must_use]
pub fn page(transcript: &Transcript, digest: Digest, signers: &[String]) -> String {
    let mut page = Page(String::new());
    page.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.raw("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    // Whoever opens it gets what is in it and nothing else, whatever might have got in.
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\">");
    page.raw("<title>");
    page.text(&format!("Key ceremony {}", transcript.ceremony));
    page.raw("</title><style>").raw(STYLE).raw("</style></head><body>\n");
    head(&mut page, transcript, digest);
    page.element("h2", "Approvals");
    approvals(&mut page, transcript);
    page.element("h2", "What was done");
    transcript.steps.iter().for_each(|step| one_step(&mut page, step));
    page.element("h2", "Signatures over this transcript");
    signatures(&mut page, transcript, signers);
    page.element("h2", "Signed by hand");
    by_hand(&mut page, transcript);
    page.element("h2", "The plan, as it was approved");
    page.element("pre", &transcript.plan);
    page.element("h2", "Certificates, requests and lists");
    for kept in &transcript.outputs {
        page.element("h3", &kept.name);
        page.element("pre", &kept.text);
    }
    page.element("h2", "Checkpoint of the audit log");
    page.element("pre", &transcript.checkpoint);
    page.element("h2", "Journal");
    page.element("pre", &transcript.journal.join("\n"));
    page.raw("</body></html>\n");
    page.0
}

struct Page(String);

impl Page {
    fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// Text, in which nothing is a tag and nothing is hidden.
    fn text(&mut self, text: &str) -> &mut Self {
        for (n, line) in text.lines().enumerate() {
            if n > 0 {
                self.0.push('\n');
            }
            for c in printable(&line.replace('\t', "    "), usize::MAX).chars() {
                match c {
                    '&' => self.0.push_str("&amp;"),
                    '<' => self.0.push_str("&lt;"),
                    '>' => self.0.push_str("&gt;"),
                    '"' => self.0.push_str("&quot;"),
                    '\'' => self.0.push_str("&#39;"),
                    c => self.0.push(c),
                }
            }
        }
        self
    }

    fn element(&mut self, tag: &'static str, text: &str) -> &mut Self {
        self.raw("<").raw(tag).raw(">").text(text).raw("</").raw(tag).raw(">\n")
    }

    fn row(&mut self, head: &str, text: &str) -> &mut Self {
        self.raw("<tr><th>").text(head).raw("</th><td>").text(text).raw("</td></tr>\n")
    }

    fn code_row(&mut self, head: &str, text: &str) -> &mut Self {
        self.raw("<tr><th>").text(head).raw("</th><td><code>").text(text).raw("</code></td></tr>\n")
    }
}

fn head(page: &mut Page, transcript: &Transcript, digest: Digest) {
    if transcript.is_rehearsal() {
        page.raw("<div class=\"rehearsal\">REHEARSAL<small>The keys of this transcript were thrown away. ");
        page.raw("Nothing in it may be used.</small></div>\n");
    }
    page.element("h1", &format!("Key ceremony {}", transcript.ceremony));
    page.raw("<p class=\"purpose\">").text(&transcript.purpose).raw("</p>\n<table>\n");
    page.row("Organization", &transcript.organization).row("Installation", &transcript.installation);
    page.row("Program", &transcript.program).row("Finished", &transcript.finished);
    page.code_row("Plan (SHA-256)", &transcript.plan_sha256.to_string());
    page.code_row("Transcript (SHA-256)", &digest.to_string()).raw("</table>\n");
}

fn approvals(page: &mut Page, transcript: &Transcript) {
    if transcript.approvals.is_empty() {
        page.element("p", "Nobody approved this: a rehearsal needs no approval.");
    }
    for approver in &transcript.approvals {
        let certificate = x509::pem::der_or_pem(approver.certificate.as_bytes(), &["CERTIFICATE"])
            .and_then(|der| x509::Certificate::decode(&der).ok());
        let tbs = certificate.as_ref().map(x509::Certificate::tbs);
        page.raw("<div class=\"step\">").element("h3", approver.operator.as_str()).raw("<table>\n");
        page.code_row("Certificate", &tbs.map(|tbs| tbs.serial_number.to_string()).unwrap_or_default());
        page.row("Valid until", &tbs.map(|tbs| tbs.not_after.to_string()).unwrap_or_default());
        page.code_row("Statement", &approver.statement).raw("</table></div>\n");
    }
}

fn one_step(page: &mut Page, step: &StepRecord) {
    page.raw("<div class=\"step\">").element("h3", &format!("{}. {}", step.step, step.verb));
    page.element("p", &step.words).raw("<table>\n");
    page.row("Begun", &step.begun).row("Ended", &format!("{} ({})", step.ended, step.outcome));
    files(page, "Read", &step.inputs);
    files(page, "Written", &step.outputs);
    files(page, "Shares", &step.shares);
    page.raw("</table></div>\n");
}

fn files(page: &mut Page, head: &str, files: &[Named]) {
    for (n, file) in files.iter().enumerate() {
        page.raw("<tr><th>").text(if n == 0 { head } else { "" }).raw("</th><td>").text(&file.name);
        page.raw("<br><code class=\"muted\">SHA-256 ").text(&file.sha256.to_string()).raw("</code></td></tr>\n");
    }
}

fn signatures(page: &mut Page, transcript: &Transcript, signers: &[String]) {
    if signers.is_empty() {
        page.element("p", "None: a rehearsal is not signed.");
        return;
    }
    let said = signers.join(", ");
    page.element("p", &format!("Signed with the keys of {said}. To check it: cradle ceremony verify transcript.json"));
    page.raw("<details><summary>Public key of the audit log</summary>").element("pre", &transcript.log_key);
    page.raw("</details>\n");
}

fn by_hand(page: &mut Page, transcript: &Transcript) {
    page.raw("<table class=\"sign\">\n<tr><th>Name</th><th>Place, date</th><th>Signature</th></tr>\n");
    for approver in &transcript.approvals {
        page.raw("<tr><td>").text(approver.operator.as_str()).raw("</td><td></td><td></td></tr>\n");
    }
    // Witnesses and auditors.
    page.raw("<tr><td>Witness:</td><td></td><td></td></tr>\n<tr><td>Auditor:</td><td></td><td></td></tr>\n</table>\n");
}
